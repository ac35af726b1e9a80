//! The difference for a pull request.

use super::Diff;
use super::FunctionChange;
use super::Pair;
use super::Violation;
use super::terminal::{cells, rows, shares};
use crate::profile::report::markdown::{code, paragraph};
use crate::profile::report::terminal::{MAX_VALUES, NO_LABEL};

impl Diff {
    /// The difference as GitHub-flavoured Markdown, with the same functions as
    /// [`to_text`](Self::to_text). Names are code, never markup.
    pub fn to_markdown(&self, top: usize, all: bool, violations: &[Violation]) -> String {
        let mut out = String::new();
        for violation in violations {
            paragraph(&mut out, &format!("**Not allowed:** {}", code(&violation.line())));
        }
        for line in self.headlines() {
            paragraph(&mut out, &code(&line));
        }
        table(&mut out, &self.functions, self.with_stack, (top, all));
        if !self.by_label.is_empty() {
            out += "| share | before | after | value |\n|--:|--:|--:|:--|\n";
        }
        for part in self.by_label.iter().take(MAX_VALUES) {
            let value = part.value.as_deref().map_or(NO_LABEL.to_owned(), code);
            out += &format!("| {} | {value} |\n", shares(part.total, self.with_stack).join(" | "));
        }
        out += if self.by_label.is_empty() { "" } else { "\n" };
        for part in &self.by_label {
            if all || part.functions.iter().any(FunctionChange::is_significant) {
                let value = part.value.as_deref().map_or(NO_LABEL.to_owned(), code);
                paragraph(&mut out, &format!("### {value}"));
                table(&mut out, &part.functions, part.total.weight, (top, all));
            }
        }
        out
    }
}

fn table(out: &mut String, functions: &[FunctionChange], whole: Pair, (top, all): (usize, bool)) {
    let rows: Vec<_> = rows(functions, all).take(top).collect();
    if rows.is_empty() {
        return;
    }
    *out += "| self | before | after | total | before | after | function |\n";
    *out += "|--:|--:|--:|--:|--:|--:|:--|\n";
    for function in rows {
        let [own, total] = cells(function, whole).map(|cells| cells.join(" | "));
        *out += &format!("| {own} | {total} | {} |\n", code(&function.name));
    }
    out.push('\n');
}
