//! What calls do to provisioned products, and how they are found.

use serde_json::json;

use super::super::Service;
use super::super::seed::*;
use super::{Bench, column};

#[test]
fn a_product_is_found_by_exact_id_or_name() {
    let mut bench = Bench::new(Service::ServiceCatalog);
    let by_name = bench.ok(
        "DescribeProvisionedProduct",
        json!({"Name": PRODUCT_LISTED_NAME}),
    );
    assert_eq!(by_name["ProvisionedProductDetail"]["Id"], PRODUCT_LISTED);
    let by_id = bench.ok("DescribeProvisionedProduct", json!({"Id": PRODUCT_PREFIX}));
    assert_eq!(
        by_id["ProvisionedProductDetail"]["Name"],
        PRODUCT_PREFIX_NAME
    );
    let neither = "InvalidParametersException";
    assert_eq!(bench.code("DescribeProvisionedProduct", json!({})), neither);
    let both = json!({"Id": PRODUCT_PREFIX, "Name": PRODUCT_PREFIX_NAME});
    assert_eq!(bench.code("DescribeProvisionedProduct", both), neither);
    let part = json!({"Name": "team"});
    assert_eq!(
        bench.code("DescribeProvisionedProduct", part),
        "ResourceNotFoundException"
    );
}

#[test]
fn a_search_is_fuzzy_scoped_and_paged() {
    let mut bench = Bench::new(Service::ServiceCatalog);
    let account = json!({"Key": "Account", "Value": "self"});
    let query = json!({"Filters": {"SearchQuery": [format!("id:{PRODUCT_PREFIX}")]}, "AccessLevelFilter": account});
    let found = bench.ok("SearchProvisionedProducts", query);
    assert_eq!(
        column(&found["ProvisionedProducts"], "Id"),
        [PRODUCT_PREFIX, PRODUCT_TWIN]
    );
    assert_eq!(found["TotalResultsCount"], 2);
    let own = bench.ok("SearchProvisionedProducts", json!({}));
    assert_eq!(column(&own["ProvisionedProducts"], "Id"), [PRODUCT_PREFIX]);
    let tokens = ("PageToken", "NextPageToken");
    let all = json!({"AccessLevelFilter": account, "PageSize": 10});
    let (all, pages) = bench.all(
        "SearchProvisionedProducts",
        all,
        "ProvisionedProducts",
        tokens,
    );
    assert_eq!((all.len(), pages), (PLAIN_PRODUCTS + 5, 3));
    let down = json!({"AccessLevelFilter": account, "SortBy": "name", "SortOrder": "DESCENDING", "PageSize": 7});
    let (down, _) = bench.all(
        "SearchProvisionedProducts",
        down,
        "ProvisionedProducts",
        tokens,
    );
    let names = column(&json!(down), "Name");
    assert!(names.is_sorted_by(|a, b| a >= b), "{names:?}");
    assert_eq!(names.len(), PLAIN_PRODUCTS + 5);
    let (scanned, _) = bench.all(
        "ScanProvisionedProducts",
        json!({"AccessLevelFilter": account}),
        "ProvisionedProducts",
        tokens,
    );
    assert_eq!(scanned.len(), PLAIN_PRODUCTS + 5);
    assert_eq!(scanned[0].get("Tags"), None);
    let odd = json!({"Filters": {"SearchQuery": ["colour:red"]}});
    assert_eq!(
        bench.code("SearchProvisionedProducts", odd),
        "InvalidParametersException"
    );
}

#[test]
fn a_terminated_product_changes_and_is_gone_and_its_record_stays() {
    let mut bench = Bench::new(Service::ServiceCatalog);
    let ask = json!({"ProvisionedProductName": PRODUCT_PREFIX_NAME, "TerminateToken": "one"});
    let record = bench.ok("TerminateProvisionedProduct", ask.clone())["RecordDetail"].clone();
    assert_eq!(record["ProvisionedProductId"], PRODUCT_PREFIX);
    assert_eq!(
        bench.ok("TerminateProvisionedProduct", ask)["RecordDetail"],
        record
    );
    let shown = bench.ok("DescribeProvisionedProduct", json!({"Id": PRODUCT_PREFIX}));
    assert_eq!(shown["ProvisionedProductDetail"]["Status"], "UNDER_CHANGE");
    bench.settle();
    let again = json!({"ProvisionedProductId": PRODUCT_PREFIX, "TerminateToken": "two"});
    assert_eq!(
        bench.code("TerminateProvisionedProduct", again),
        "ResourceNotFoundException"
    );
    let record = bench.ok("DescribeRecord", json!({"Id": record["RecordId"]}));
    assert_eq!(record["RecordDetail"]["Status"], "SUCCEEDED");
    assert_eq!(
        bench.ok("ListPortfolios", json!({}))["PortfolioDetails"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
