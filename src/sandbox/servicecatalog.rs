//! AWS Service Catalog: provisioned products, found by a search that is fuzzy, and terminated.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::account::{Scene, Tags, epoch, seeded_at, tag_list};
use super::error::ApiError;
use super::input::{BadToken, Input, Order, page, page_in};
use super::service::Service;
use super::sts::GUARD_ARN;

const RECORDS_MAX: usize = 1000;

/// The service in one region.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct State {
    pub products: BTreeMap<String, Product>,
    /// The oldest go first when there are too many.
    records: BTreeMap<String, Record>,
    created: u32,
}

/// One provisioned product.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Product {
    pub name: String,
    pub status: Status,
    /// Who provisioned it.
    pub user_arn: String,
    pub tags: Tags,
    /// The record of its termination, while that is under way.
    pub terminating: Option<String>,
}

/// `ProvisionedProductStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::sandbox) enum Status {
    Available,
    UnderChange,
}

#[derive(Debug, Clone)]
struct Record {
    product: String,
    name: String,
    token: String,
    created: SystemTime,
    /// `None` once it has succeeded.
    settles: Option<SystemTime>,
}

impl State {
    pub(in crate::sandbox) fn call(
        &mut self,
        operation: &str,
        input: Input<'_>,
        scene: Scene<'_>,
    ) -> Result<Value, ApiError> {
        self.settle(scene.now);
        match operation {
            "DescribeProvisionedProduct" => self.describe(input, scene),
            "SearchProvisionedProducts" => self.search(input, scene),
            "ScanProvisionedProducts" => self.scan(input, scene),
            "TerminateProvisionedProduct" => self.terminate(input, scene),
            "DescribeRecord" => self.describe_record(input),
            "ListPortfolios" => list_portfolios(input, scene),
            other => Err(ApiError::unknown_operation(Service::ServiceCatalog, other)),
        }
    }

    fn settle(&mut self, now: SystemTime) {
        for record in self.records.values_mut() {
            if record.settles.is_some_and(|at| at <= now) {
                record.settles = None;
                self.products.remove(&record.product);
            }
        }
        while self.records.len() > RECORDS_MAX {
            self.records.pop_first();
        }
    }

    /// The product of that id or of that name: one of the two must be given.
    fn find(&self, id: Option<&str>, name: Option<&str>) -> Result<&str, ApiError> {
        let found = match (id, name) {
            (Some(id), None) => self.products.get_key_value(id).map(|(id, _)| id),
            (None, Some(name)) => self
                .products
                .iter()
                .find(|(_, p)| p.name == name)
                .map(|(id, _)| id),
            (Some(_), Some(_)) | (None, None) => {
                return Err(parameters(
                    "Exactly one of the provisioned product's id and name must be given.",
                ));
            }
        };
        found
            .map(String::as_str)
            .ok_or_else(|| not_found("Provisioned product", id.or(name).unwrap_or_default()))
    }

    fn describe(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let id = self.find(input.text("Id")?, input.text("Name")?)?;
        let product = self
            .products
            .get(id)
            .ok_or_else(|| not_found("Provisioned product", id))?;
        Ok(json!({
            "ProvisionedProductDetail": product.show(id, scene),
            "CloudWatchDashboards": [],
        }))
    }

    /// Those that each search term occurs in, in part and without regard to case: `id:pp-abc` finds `pp-abcd` too.
    fn search(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let scope = access_level(input)?;
        let terms = match input.object("Filters")? {
            None => Vec::new(),
            Some(filters) => filters.texts("SearchQuery", (0, 25))?.unwrap_or_default(),
        };
        let size = match input.integer("PageSize", (0, 100))? {
            None | Some(0) => 20,
            Some(size) => usize::try_from(size).unwrap_or(20),
        };
        let order = match input.word("SortOrder", &["ASCENDING", "DESCENDING"])? {
            Some("DESCENDING") => Order::Descending,
            _ => Order::Ascending,
        };
        let sort = input.text("SortBy")?.unwrap_or("id");
        let mut found = Vec::new();
        for (id, product) in self.in_scope(scope) {
            let fields = product.fields(id, scene);
            let mut all = true;
            for term in &terms {
                all &= matches(&fields, term)?;
            }
            if all {
                let key = fields
                    .iter()
                    .find(|(name, _)| *name == sort)
                    .map(|(_, value)| format!("{value}\u{1}{id}"))
                    .ok_or_else(|| parameters("SortBy names no sortable field."))?;
                let mut shown = product.show(id, scene);
                shown.insert("Tags".to_owned(), tag_list(&product.tags));
                shown.insert(
                    "PhysicalId".to_owned(),
                    scene
                        .arn("cloudformation", &format!("stack/SC-{id}"))
                        .into(),
                );
                shown.insert("ProductName".to_owned(), "Sandbox product".into());
                shown.insert("ProvisioningArtifactName".to_owned(), "v1".into());
                shown.insert("UserArn".to_owned(), product.user_arn.as_str().into());
                shown.insert(
                    "UserArnSession".to_owned(),
                    product.user_arn.as_str().into(),
                );
                found.push((key, Value::Object(shown)));
            }
        }
        let total = found.len();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        if order == Order::Descending {
            found.reverse();
        }
        let (products, next) = page_in(
            order,
            "SearchProvisionedProducts",
            found.into_iter(),
            input.text("PageToken")?,
            size,
        )
        .map_err(bad_token)?;
        let mut answer = paged("ProvisionedProducts", products, next);
        answer.insert("TotalResultsCount".to_owned(), total.into());
        Ok(Value::Object(answer))
    }

    fn scan(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let scope = access_level(input)?;
        let size = match input.integer("PageSize", (0, 20))? {
            None | Some(0) => 20,
            Some(size) => usize::try_from(size).unwrap_or(20),
        };
        let shown = self
            .in_scope(scope)
            .map(|(id, p)| (id, Value::Object(p.show(id, scene))));
        let (products, next) = page(
            "ScanProvisionedProducts",
            shown,
            input.text("PageToken")?,
            size,
        )
        .map_err(bad_token)?;
        Ok(Value::Object(paged("ProvisionedProducts", products, next)))
    }

    fn in_scope(&self, scope: AccessLevel) -> impl Iterator<Item = (&String, &Product)> {
        self.products.iter().filter(move |(_, p)| match scope {
            AccessLevel::Account => true,
            AccessLevel::Own => p.user_arn == GUARD_ARN,
        })
    }

    fn terminate(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let token = input.required_text("TerminateToken")?;
        input.boolean("IgnoreErrors")?;
        input.boolean("RetainPhysicalResources")?;
        let id = self
            .find(
                input.text("ProvisionedProductId")?,
                input.text("ProvisionedProductName")?,
            )?
            .to_owned();
        let product = self
            .products
            .get_mut(&id)
            .ok_or_else(|| not_found("Provisioned product", &id))?;
        if let Some(under_way) = &product.terminating {
            return match self.records.get(under_way) {
                Some(record) if record.token == token => {
                    Ok(json!({"RecordDetail": record.show(under_way)}))
                }
                _ => Err(parameters(
                    "The provisioned product is already UNDER_CHANGE.",
                )),
            };
        }
        self.created = self.created.saturating_add(1);
        let record_id = format!("rec-sandbox{:06}", self.created);
        product.status = Status::UnderChange;
        product.terminating = Some(record_id.clone());
        let record = Record {
            product: id,
            name: product.name.clone(),
            token: token.to_owned(),
            created: scene.now,
            settles: Some(scene.settles()),
        };
        let shown = record.show(&record_id);
        self.records.insert(record_id, record);
        Ok(json!({"RecordDetail": shown}))
    }

    fn describe_record(&self, input: Input<'_>) -> Result<Value, ApiError> {
        let id = input.required_text("Id")?;
        let record = self
            .records
            .get(id)
            .ok_or_else(|| not_found("Record", id))?;
        Ok(json!({"RecordDetail": record.show(id), "RecordOutputs": []}))
    }
}

/// Whose products a search or a scan goes over.
#[derive(Debug, Clone, Copy)]
enum AccessLevel {
    Account,
    /// The default.
    Own,
}

fn access_level(input: Input<'_>) -> Result<AccessLevel, ApiError> {
    let Some(filter) = input.object("AccessLevelFilter")? else {
        return Ok(AccessLevel::Own);
    };
    if filter.text("Value")? != Some("self") {
        return Err(parameters("The only value of AccessLevelFilter is `self`."));
    }
    Ok(match filter.word("Key", &["Account", "Role", "User"])? {
        Some("Account") => AccessLevel::Account,
        _ => AccessLevel::Own,
    })
}

/// Whether a term `field:text`, or a bare text, occurs in a field, in part and without regard to case.
fn matches(fields: &[(&'static str, String)], term: &str) -> Result<bool, ApiError> {
    let (field, text) = match term.split_once(':') {
        Some((field, text)) => (Some(field), text),
        None => (None, term),
    };
    if field.is_some_and(|f| !fields.iter().any(|(name, _)| *name == f)) {
        return Err(parameters("The search query names no searchable field."));
    }
    let text = text.to_lowercase();
    Ok(fields
        .iter()
        .filter(|(name, _)| field.is_none_or(|f| f == *name))
        .any(|(_, value)| value.to_lowercase().contains(&text)))
}

impl Product {
    fn show(&self, id: &str, scene: Scene<'_>) -> Map<String, Value> {
        let mut all = Map::new();
        all.insert("Name".to_owned(), self.name.as_str().into());
        all.insert("Arn".to_owned(), self.arn(id, scene).into());
        all.insert("Type".to_owned(), "CFN_STACK".into());
        all.insert("Id".to_owned(), id.into());
        all.insert("Status".to_owned(), json!(self.status));
        all.insert("CreatedTime".to_owned(), epoch(seeded_at()));
        all.insert("IdempotencyToken".to_owned(), format!("token-{id}").into());
        all.insert("LastRecordId".to_owned(), self.last_record(id).into());
        all.insert(
            "LastProvisioningRecordId".to_owned(),
            format!("rec-{id}").into(),
        );
        all.insert(
            "LastSuccessfulProvisioningRecordId".to_owned(),
            format!("rec-{id}").into(),
        );
        all.insert("ProductId".to_owned(), "prod-sandbox00001".into());
        all.insert(
            "ProvisioningArtifactId".to_owned(),
            "pa-sandbox0000001".into(),
        );
        all
    }

    fn arn(&self, id: &str, scene: Scene<'_>) -> String {
        scene.arn("servicecatalog", &format!("stack/{}/{id}", self.name))
    }

    fn last_record(&self, id: &str) -> String {
        self.terminating
            .clone()
            .unwrap_or_else(|| format!("rec-{id}"))
    }

    /// What a search looks at.
    fn fields(&self, id: &str, scene: Scene<'_>) -> Vec<(&'static str, String)> {
        let status = json!(self.status).as_str().unwrap_or_default().to_owned();
        let tags: Vec<String> = self.tags.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        vec![
            ("id", id.to_owned()),
            ("name", self.name.clone()),
            ("arn", self.arn(id, scene)),
            ("type", "CFN_STACK".to_owned()),
            ("status", status),
            ("createdTime", super::account::iso(seeded_at())),
            ("lastRecordId", self.last_record(id)),
            ("productId", "prod-sandbox00001".to_owned()),
            ("productName", "Sandbox product".to_owned()),
            ("tags", tags.join(",")),
            ("userArn", self.user_arn.clone()),
        ]
    }
}

impl Record {
    fn show(&self, id: &str) -> Value {
        json!({
            "RecordId": id,
            "ProvisionedProductName": self.name,
            "Status": if self.settles.is_some() { "IN_PROGRESS" } else { "SUCCEEDED" },
            "CreatedTime": epoch(self.created),
            "UpdatedTime": epoch(self.created),
            "ProvisionedProductType": "CFN_STACK",
            "RecordType": "TERMINATE_PROVISIONED_PRODUCT",
            "ProvisionedProductId": self.product,
            "ProductId": "prod-sandbox00001",
            "ProvisioningArtifactId": "pa-sandbox0000001",
            "RecordErrors": [],
            "RecordTags": [],
        })
    }
}

fn list_portfolios(input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
    let size = match input.integer("PageSize", (0, 20))? {
        None | Some(0) => 20,
        Some(size) => usize::try_from(size).unwrap_or(20),
    };
    let shown = ["port-sandboxdesk1", "port-sandboxtool1"]
        .into_iter()
        .map(|id| {
            let portfolio = json!({
                "Id": id,
                "ARN": scene.arn("catalog", &format!("portfolio/{id}")),
                "DisplayName": id,
                "CreatedTime": epoch(seeded_at()),
                "ProviderName": "Sandbox",
            });
            (id, portfolio)
        });
    let (found, next) =
        page("ListPortfolios", shown, input.text("PageToken")?, size).map_err(bad_token)?;
    Ok(Value::Object(paged("PortfolioDetails", found, next)))
}

fn paged(member: &str, items: Vec<Value>, next: Option<String>) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert(member.to_owned(), items.into());
    if let Some(token) = next {
        answer.insert("NextPageToken".to_owned(), token.into());
    }
    answer
}

fn not_found(kind: &str, id: &str) -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        format!("{kind} not found: {id}"),
    )
}

fn parameters(message: &str) -> ApiError {
    ApiError::new("InvalidParametersException", message)
}

fn bad_token(_: BadToken) -> ApiError {
    parameters("The page token is not valid.")
}
