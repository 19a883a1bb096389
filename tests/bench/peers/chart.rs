//! Charts for a page: SVG that is readable in light and dark, at the width of a README, and says what it was measured on.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::machine::Machine;
use crate::report::Report;
use crate::taken::Taken;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 190.0;
const VALUES: f64 = 90.0;
const BAR: f64 = 22.0;
const STEP: f64 = 30.0;

const STYLE: &str = "<style>\
    text{font:13px -apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif;fill:#1f2328}\
    .title{font-size:16px;font-weight:600}.head{font-weight:600}.note{font-size:11px;fill:#59636e}\
    .peer{fill:#9aa4af}.own{fill:#0969da}.line{fill:none;stroke:#0969da;stroke-width:2}\
    .grid{stroke:#d1d9e0;stroke-width:1}\
    @media(prefers-color-scheme:dark){text{fill:#f0f6fc}.note{fill:#9198a1}.peer{fill:#6e7681}\
    .own{fill:#4493f8}.line{stroke:#4493f8}.grid{stroke:#3d444d}}\
    </style>";

/// Draws each chart whose rows were measured.
pub fn draw(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let charts = [
        ("throughput.svg", throughput(report)),
        ("latency.svg", latency(report)),
        ("growth.svg", growth(report)),
    ];
    for (name, chart) in charts {
        if let Some(chart) = chart {
            fs::write(folder.join(name), chart)?;
        }
    }
    Ok(())
}

struct Bar {
    label: &'static str,
    value: f64,
    own: bool,
}

struct Group {
    head: &'static str,
    bars: Vec<Bar>,
}

fn throughput(report: &Report) -> Option<String> {
    let read = report.row("unguarded")?;
    let bar = |row: &str, lane: &str, label| {
        let value = report.row(row)?.lane(lane)?.median(|f| f.per_second);
        let own = row != "unguarded" || lane == "palisade";
        Some(Bar { label, value, own })
    };
    let groups = [
        Group {
            head: "A read, 16 connections",
            bars: [
                bar("unguarded", "haproxy", "HAProxy, a relay"),
                bar("unguarded", "palisade", "Palisade"),
                bar("unguarded", "hudsucker", "hudsucker"),
                bar("unguarded", "mitmproxy", "mitmproxy"),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
        Group {
            head: "A guarded call, 100 policies of which 10 apply",
            bars: [
                bar("guarded", "palisade", "nothing to look up"),
                bar("lookup", "one lookup", "one lookup"),
                bar("fsync", "fsync", "fsync, 64 connections"),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
    ];
    let direct = read.lane("direct").map_or_else(String::new, |direct| {
        let each = grouped(direct.median(|f| f.per_second));
        format!("Without a proxy, client and origin alone: {each}. ")
    });
    let note = format!(
        "{direct}Client, origin and proxy share the machine; no peer but Palisade decides anything."
    );
    let unit = |value: f64| format!("{}/s", grouped(value));
    Some(bars(
        "Calls a second",
        &groups,
        unit,
        &note,
        &report.machine,
    ))
}

fn latency(report: &Report) -> Option<String> {
    let row = report.row("latency")?;
    let direct = row.lane("direct")?.median(|f| f.p50_us);
    let bar = |lane: &'static str, label, own| {
        let added = row.by_round([lane, "direct"], |[lane, direct]| {
            lane.p50_us - direct.p50_us
        });
        Some(Bar {
            label,
            value: added?.max(0.0),
            own,
        })
    };
    let groups = [Group {
        head: "One call at a time, median",
        bars: [
            bar("haproxy", "HAProxy, a relay", false),
            bar("hudsucker", "hudsucker", false),
            bar("palisade", "Palisade, a read", true),
            bar("guarded", "Palisade, guarded", true),
            bar("guarded, fsync", "Palisade, guarded, fsync", true),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }];
    let note = format!("Added to the {direct:.0} µs that a call takes directly.");
    let unit = |value: f64| format!("{value:.0} µs");
    Some(bars("Added latency", &groups, unit, &note, &report.machine))
}

fn bars(
    title: &str,
    groups: &[Group],
    unit: impl Fn(f64) -> String,
    note: &str,
    machine: &Machine,
) -> String {
    let most = groups
        .iter()
        .flat_map(|group| &group.bars)
        .map(|bar| bar.value)
        .fold(1.0, f64::max);
    let mut text = String::new();
    let mut y = 28.0;
    put(&mut text, 0.0, y, "title", title);
    for group in groups.iter().filter(|group| !group.bars.is_empty()) {
        y += 30.0;
        put(&mut text, 0.0, y, "head", group.head);
        y += 12.0;
        for bar in &group.bars {
            let long = (WIDTH - LABELS - VALUES) * bar.value / most;
            let class = if bar.own { "own" } else { "peer" };
            put(&mut text, 0.0, y + 16.0, "", bar.label);
            let _ = write!(
                text,
                "<rect class=\"{class}\" x=\"{LABELS}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
                long.max(1.0)
            );
            put(
                &mut text,
                LABELS + long + 8.0,
                y + 16.0,
                "",
                &unit(bar.value),
            );
            y += STEP;
        }
    }
    close(text, y + 18.0, note, machine)
}

fn growth(report: &Report) -> Option<String> {
    // Policies and connections grow by factors, resources by steps: each is drawn on the scale on which it's even.
    let panels: [Panel<'_>; 3] = [
        (
            "policies for other actions",
            report.row("growth-policies")?,
            f64::ln,
        ),
        ("connections", report.row("growth-connections")?, f64::ln),
        ("resources in a call", report.row("growth-batch")?, |n| n),
    ];
    let most = panels
        .iter()
        .flat_map(|(_, row, _)| points(row))
        .map(|(_, cpu)| cpu)
        .fold(1.0, f64::max);
    let mut text = String::new();
    put(
        &mut text,
        0.0,
        28.0,
        "title",
        "What a guarded call costs the guard, µs of CPU",
    );
    for (n, each) in panels.into_iter().enumerate() {
        panel(&mut text, n as f64 * WIDTH / 3.0, each, most);
    }
    let note = "Ten policies apply to the call in each of them.";
    Some(close(text, 270.0, note, &report.machine))
}

/// What grows, its row, and the scale that it's drawn on.
type Panel<'a> = (&'static str, &'a Taken, fn(f64) -> f64);

fn panel(text: &mut String, left: f64, (what, row, scale): Panel<'_>, most: f64) {
    let (left, top, bottom, wide) = (left + 24.0, 60.0, 210.0, WIDTH / 3.0 - 64.0);
    let _ = write!(
        text,
        "<line class=\"grid\" x1=\"{left:.1}\" x2=\"{:.1}\" y1=\"{bottom}\" y2=\"{bottom}\"/>",
        left + wide
    );
    let points = points(row);
    let ends = points.first().zip(points.last());
    let (least, last) = ends.map_or((1.0, 2.0), |(first, last)| (first.0, last.0));
    let mut line = String::new();
    for (count, cpu) in points {
        let share = (scale(count) - scale(least)) / (scale(last) - scale(least));
        let x = left + wide * share;
        let y = bottom - (bottom - top) * cpu / most;
        let _ = write!(line, "{x:.1},{y:.1} ");
        let _ = write!(
            text,
            "<circle class=\"own\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
        );
        middle(text, x, y - 9.0, "", &format!("{cpu:.0}"));
        middle(text, x, 228.0, "note", &format!("{count}"));
    }
    let line = line.trim_end();
    let _ = write!(text, "<polyline class=\"line\" points=\"{line}\"/>");
    middle(text, left + wide / 2.0, 248.0, "", what);
}

/// How many there are of what grows, and the guard's CPU time: of the lanes whose label begins with a number.
fn points(row: &Taken) -> Vec<(f64, f64)> {
    let lanes = row.lanes.iter().filter_map(|lane| {
        let count = lane.label.split(' ').next()?.parse().ok()?;
        Some((count, lane.peer_cpu_us()?))
    });
    lanes.collect()
}

/// The notes below, and the frame around all.
fn close(mut text: String, mut y: f64, note: &str, machine: &Machine) -> String {
    let versions: Vec<String> = machine
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let on = format!(
        "{}, {} cores, {} GiB, Linux {}, {}",
        machine.processor, machine.cores, machine.memory_gib, machine.kernel, machine.date
    );
    for line in [note, &on, &versions.join(", ")] {
        put(&mut text, 0.0, y, "note", line);
        y += 16.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y:.0}\" viewBox=\"0 0 {WIDTH} {y:.0}\" \
         role=\"img\">{STYLE}{text}</svg>\n"
    )
}

fn put(text: &mut String, x: f64, y: f64, class: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(
        text,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{what}</text>"
    );
}

fn middle(text: &mut String, x: f64, y: f64, class: &str, what: &str) {
    let _ = write!(
        text,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{what}</text>"
    );
}

/// `40,700`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
