//! The figures as a person reads them, and as JSON.

use serde_json::{Value, json};

use crate::{
    load::{self, Figure},
    server::Kind,
    work::Work,
};

/// One row: a workload on a server of some size.
pub struct Row {
    /// The server.
    pub kind: Kind,
    /// What was sent.
    pub work: Work,
    /// Secrets in it.
    pub secrets: usize,
    /// The middle measurement, or why there is none.
    pub figure: Result<Figure, String>,
}

/// Everything measured.
#[derive(Default)]
pub struct Report {
    /// Workloads.
    pub rows: Vec<Row>,
    /// Other figures: name, value with unit.
    pub others: Vec<(String, String)>,
}

impl Report {
    /// The middle one of several measurements by CPU.
    pub fn middle(mut figures: Vec<Result<Figure, String>>) -> Result<Figure, String> {
        if let Some(bad) = figures.iter().position(Result::is_err) {
            return figures.swap_remove(bad);
        }
        let mut good: Vec<Figure> = figures.into_iter().flatten().collect();
        good.sort_by(|a, b| a.cpu_micros.total_cmp(&b.cpu_micros));
        let middle = good.len() / 2;
        good.into_iter().nth(middle).ok_or_else(|| "nothing measured".to_owned())
    }

    fn cpu(&self, kind: Kind, work: Work) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.kind == kind && row.work == work)?;
        row.figure.as_ref().ok().map(|figure| figure.cpu_micros)
    }

    /// Prints it all.
    pub fn print(&self) {
        self.print_rows();
        for (name, value) in &self.others {
            println!("{name:<46} {value}");
        }
    }

    fn print_rows(&self) {
        if self.rows.is_empty() {
            return;
        }
        println!(
            "{:<14} {:<11} {:>8} {:>9} {:>9} {:>9} {:>9}  aim, ratio",
            "workload", "server", "secrets", "cpu µs", "req/s", "p50 µs", "p99 µs"
        );
        for row in &self.rows {
            print!("{:<14} {:<11} {:>8} ", row.work.name(), row.kind.name(), row.secrets);
            match &row.figure {
                Ok(figure) => println!(
                    "{:>9.1} {:>9.0} {:>9.0} {:>9.0}  {}",
                    figure.cpu_micros,
                    figure.rate,
                    figure.p50_micros,
                    figure.p99_micros,
                    self.verdict(row, figure)
                ),
                Err(why) => println!("INVALID: {why}"),
            }
        }
        println!();
    }

    fn verdict(&self, row: &Row, figure: &Figure) -> String {
        let mut words = Vec::new();
        if row.kind == Kind::Strongroom {
            if let Some(aim) = row.work.aim_micros() {
                let met = if figure.cpu_micros <= aim { "met" } else { "MISSED" };
                words.push(format!("aim {aim:.0} {met}"));
            }
            if let Some(peer) = self.cpu(Kind::Peer, row.work) {
                words.push(format!("{:.1}× below the peer", peer / figure.cpu_micros));
            }
            let first = self.cpu(Kind::Strongroom, row.work);
            if let Some(first) = first.filter(|first| (first - figure.cpu_micros).abs() > 0.0) {
                words.push(format!("{:.2}× of the smallest", figure.cpu_micros / first));
            }
        }
        words.join(", ")
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let mut value = load::json_of(&row.figure);
                value["workload"] = json!(row.work.name());
                value["server"] = json!(row.kind.name());
                value["secrets"] = json!(row.secrets);
                value
            })
            .collect();
        json!({ "workloads": rows, "others": self.others })
    }
}
