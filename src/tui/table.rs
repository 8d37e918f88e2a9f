//! The accounts as a table for pipes and plain terminals.

use super::rows::{Level, Moment, Row, Usage, rows, updated};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

/// Marks the next pick.
pub const MARK: &str = "▸";
const HEAD: [&str; 6] = ["ACCOUNT", "SCORE", "5h", "7d", "LIVE", "RESETS"];
const LEGEND: &str = "▸ next pick here · SCORE percent headroom, higher is emptier · 5h, 7d used · LIVE sessions · RESETS 5h · 7d";

/// One cell: its text and how full the window in it is.
struct Cell {
    text: String,
    level: Option<Level>,
}

/// The whole table with legend and age, each line ended. `colour` adds ANSI colours, which never say anything that the
/// text does not.
#[must_use]
pub fn table(moment: &Moment, zone: &TimeZone, colour: bool) -> String {
    let rows = rows(moment, zone);
    let head = HEAD.map(|text| Cell {
        text: text.to_owned(),
        level: None,
    });
    let lines: Vec<[Cell; 6]> = std::iter::once(head)
        .chain(rows.iter().map(cells))
        .collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let width = |line: &[Cell; 6]| line[column].text.width();
        lines.iter().map(width).max().unwrap_or(0)
    });
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        // The first line is the head, which has no row.
        let row = number.checked_sub(1).and_then(|n| rows.get(n));
        let mark = if row.is_some_and(|r| r.next) {
            MARK
        } else {
            " "
        };
        let flags = row.map_or_else(String::new, |r| r.flags.join(", "));
        let cells: Vec<String> = (0..6)
            .map(|c| padded(&line[c], widths[c], c != 0 && c != 5, colour))
            .collect();
        let line = format!("{mark} {}  {flags}", cells.join("  "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("\n{LEGEND}\n{}\n", updated(moment, zone)));
    text
}

fn cells(row: &Row) -> [Cell; 6] {
    let plain = |text: &str| Cell {
        text: text.to_owned(),
        level: None,
    };
    let used = |usage: &Usage| Cell {
        text: usage.text.clone(),
        level: usage.level,
    };
    [
        plain(&row.label),
        plain(&row.score),
        used(&row.used_5h),
        used(&row.used_7d),
        plain(&row.live),
        plain(&row.resets),
    ]
}

/// Padded to a width on the screen, which is not the number of characters.
fn padded(cell: &Cell, width: usize, right: bool, colour: bool) -> String {
    let blank = " ".repeat(width.saturating_sub(cell.text.width()));
    let text = match cell.level.filter(|_| colour) {
        None => cell.text.clone(),
        Some(level) => {
            let code = match level {
                Level::Low => 32,
                Level::Middle => 33,
                Level::High => 31,
            };
            format!("\x1b[{code}m{}\x1b[0m", cell.text)
        }
    };
    if right {
        format!("{blank}{text}")
    } else {
        format!("{text}{blank}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{golden, moment, zone};

    #[test]
    fn the_table_looks_as_it_did_and_colours_add_nothing_to_it() {
        let plain = table(&moment(), &zone(), false);
        golden("table", &plain);
        let coloured = table(&moment(), &zone(), true);
        let mut bare = coloured.clone();
        for code in ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"] {
            bare = bare.replace(code, "");
        }
        assert_eq!(bare, plain);
        assert!(coloured.contains("\x1b[31m100%\x1b[0m"), "{coloured}");
        assert!(coloured.contains("\x1b[33m75%\x1b[0m"), "{coloured}");
        assert!(coloured.contains("\x1b[32m22%\x1b[0m"), "{coloured}");
    }

    #[test]
    fn columns_line_up_by_width_on_the_screen() {
        let text = table(&moment(), &zone(), false);
        let ends: Vec<usize> = text
            .lines()
            .skip(1)
            .take_while(|l| !l.is_empty())
            .filter_map(|line| {
                // The score's last digit: every line has one, right-aligned.
                let dot = line.find('.')?;
                Some(line[..=dot].width())
            })
            .collect();
        assert!(
            ends.len() == 6 && ends.iter().all(|e| *e == ends[0]),
            "{ends:?}\n{text}"
        );
    }
}
