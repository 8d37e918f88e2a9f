//! The full screen, drawn from what is known: pure, for any size of terminal.

use super::app::App;
use super::detail::{Bar, bars, facts, score, together};
use super::pools::pool_table;
use super::rows::{Level, Moment, Row, Usage, flags, printable, rows, updated};
use super::table::MARK;
use crate::contract::status::AccountStatus;
use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Below this height there is room for the list alone.
const DETAIL_HEIGHT: u16 = 11;
/// From this width on the score stands beside the windows.
const WIDE: u16 = 72;
const SCORE_WIDTH: u16 = 28;
const MOST_BAR: usize = 24;
const SPINNER: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Columns after the label: head, and how narrow a screen still shows them.
const COLUMNS: [(&str, u16); 6] = [
    ("SCORE", 0),
    ("5h", 0),
    ("7d", 26),
    ("LIVE", 34),
    ("RESETS", 60),
    ("", 72),
];
const KEYS: [(&str, &str); 6] = [
    ("↑ ↓ j k", "choose an account"),
    ("p", "pin this directory to it, or take the pin back"),
    ("r", "sample every account now"),
    ("a", "sign the account in again"),
    ("?", "this help"),
    ("q Esc Ctrl-C", "quit"),
];

/// What drawing needs to know of the terminal.
#[derive(Clone, Debug)]
pub struct Look {
    /// The person's time zone.
    pub zone: TimeZone,
    /// Whether colours may be used.
    pub colour: bool,
}

impl Look {
    fn level(&self, level: Option<Level>) -> Style {
        let colour = match level.filter(|_| self.colour) {
            None => return Style::new(),
            Some(Level::Low) => Color::Green,
            Some(Level::Middle) => Color::Yellow,
            Some(Level::High) => Color::Red,
        };
        Style::new().fg(colour)
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App, look: &Look) {
    let area = frame.area();
    let pools = app.moment.as_ref().map_or_else(String::new, |moment| {
        let pools = moment.status.pools.as_deref().unwrap_or_default();
        pool_table(pools, moment.now, &look.zone)
    });
    let lines = u16::try_from(pools.lines().count()).unwrap_or(u16::MAX);
    // Where there is no room for them, the accounts go first.
    let has_room = area.height >= lines.saturating_add(DETAIL_HEIGHT + 1);
    let below = Constraint::Length(if has_room { lines } else { 0 });
    let [body, pool_lines, foot] =
        Layout::vertical([Constraint::Min(0), below, Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(pools), pool_lines);
    match &app.moment {
        None => frame.render_widget(Paragraph::new("looking at your accounts …"), body),
        Some(moment) if moment.status.accounts.is_empty() => {
            let text = "no accounts yet: `ccp add` signs one in";
            frame.render_widget(Paragraph::new(text), body);
        }
        Some(moment) => accounts(frame, body, app, moment, look),
    }
    frame.render_widget(
        Paragraph::new(footer(app, look, usize::from(foot.width))),
        foot,
    );
    if app.help {
        help(frame, area);
    }
}

fn accounts(frame: &mut Frame<'_>, area: Rect, app: &App, moment: &Moment, look: &Look) {
    let rows = rows(moment, &look.zone);
    let wanted = u16::try_from(rows.len() + 1).unwrap_or(u16::MAX);
    if area.height < DETAIL_HEIGHT {
        list(frame, area, &rows, app.place(), look);
        return;
    }
    let most = (area.height / 2).max(2);
    let [top, bottom] =
        Layout::vertical([Constraint::Length(wanted.min(most)), Constraint::Min(0)]).areas(area);
    list(frame, top, &rows, app.place(), look);
    if let Some(account) = app.account() {
        detail(frame, bottom, account, moment, look);
    }
}

fn list(frame: &mut Frame<'_>, area: Rect, rows: &[Row], place: usize, look: &Look) {
    let columns = COLUMNS
        .iter()
        .filter(|(_, least)| area.width >= *least)
        .count();
    let widths: Vec<usize> = (0..columns)
        .map(|c| {
            let head = COLUMNS[c].0.width();
            rows.iter()
                .map(|r| cell(r, c).0.width())
                .fold(head, usize::max)
        })
        .collect();
    let label = label_width(rows, &widths, usize::from(area.width));
    let head = line(("  ", "ACCOUNT"), label, &widths, |c| {
        (COLUMNS[c].0.to_owned(), Style::new())
    });
    let mut lines = vec![head.style(Style::new().add_modifier(Modifier::BOLD))];
    let room = usize::from(area.height.saturating_sub(1));
    let first = (place + 1).saturating_sub(room);
    for (number, row) in rows.iter().enumerate().skip(first).take(room) {
        let mark = match (number == place, row.next) {
            (true, true) => "›▸",
            (true, false) => "› ",
            (false, true) => " ▸",
            (false, false) => "  ",
        };
        let cells = |c: usize| {
            let (text, level) = cell(row, c);
            (text, look.level(level))
        };
        let style = if number == place {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        lines.push(line((mark, &row.label), label, &widths, cells).style(style));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The label gets what the columns leave, as far as it needs it; never less than a few characters.
fn label_width(rows: &[Row], widths: &[usize], area: usize) -> usize {
    let wanted = rows
        .iter()
        .map(|r| r.label.width())
        .fold("ACCOUNT".len(), usize::max);
    // The flags, last, may be cut; everything before them may not.
    let fixed: usize = widths.iter().take(5).map(|w| w + 2).sum();
    wanted.min(area.saturating_sub(fixed + 3)).max(4)
}

fn line<'a>(
    (mark, label): (&str, &str),
    label_width: usize,
    widths: &[usize],
    cells: impl Fn(usize) -> (String, Style),
) -> Line<'a> {
    let mut spans = vec![Span::raw(format!("{mark} {}", fitted(label, label_width)))];
    for (column, width) in widths.iter().enumerate() {
        let (text, style) = cells(column);
        let blank = " ".repeat(width.saturating_sub(text.width()));
        let left = column >= 4;
        spans.push(Span::raw("  "));
        if !left {
            spans.push(Span::raw(blank.clone()));
        }
        spans.push(Span::styled(text, style));
        if left {
            spans.push(Span::raw(blank));
        }
    }
    Line::from(spans)
}

fn cell(row: &Row, column: usize) -> (String, Option<Level>) {
    let used = |u: &Usage| (u.text.clone(), u.level);
    match column {
        0 => (row.score.clone(), None),
        1 => used(&row.used_5h),
        2 => used(&row.used_7d),
        3 => (row.live.clone(), None),
        4 => (row.resets.clone(), None),
        _ => (row.flags.join(", "), None),
    }
}

/// Exactly `width` columns: padded, or cut with an ellipsis.
fn fitted(text: &str, width: usize) -> String {
    if text.width() <= width {
        return format!("{text}{}", " ".repeat(width - text.width()));
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        cut.push(c);
    }
    format!("{cut}…{}", " ".repeat(width.saturating_sub(used + 1)))
}

fn detail(
    frame: &mut Frame<'_>,
    area: Rect,
    account: &AccountStatus,
    moment: &Moment,
    look: &Look,
) {
    let title = format!(" {} ", printable(&account.label));
    let mut block = Block::new().borders(Borders::TOP).title(title.clone());
    let together = together(moment, &look.zone).map(|text| format!(" {text} "));
    // Both names need room, and a piece of line between them.
    let room = usize::from(area.width).saturating_sub(title.width() + 4);
    if let Some(together) = together.filter(|text| text.width() <= room) {
        block = block.title(Line::from(together).right_aligned());
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let about = about(account, moment, look, usize::from(inner.width.min(90)));
    let score = score_lines(account);
    if inner.width >= WIDE {
        let [left, right] =
            Layout::horizontal([Constraint::Min(0), Constraint::Length(SCORE_WIDTH)]).areas(inner);
        frame.render_widget(Paragraph::new(about), left);
        frame.render_widget(Paragraph::new(score), right);
    } else {
        let lines: Vec<Line<'_>> = about.into_iter().chain(score).collect();
        frame.render_widget(Paragraph::new(lines), inner);
    }
}

fn about<'a>(account: &AccountStatus, moment: &Moment, look: &Look, width: usize) -> Vec<Line<'a>> {
    let mut lines = vec![Line::from(identity(account, moment))];
    let bars = bars(account, moment.now, &look.zone);
    let name = bars.iter().map(|b| b.name.width()).fold(6, usize::max);
    let text = bars.iter().map(|b| b.text.width()).max().unwrap_or(0);
    let taken = name + text + 6 + usize::from(SCORE_WIDTH);
    let room = width.saturating_sub(taken).clamp(4, MOST_BAR);
    lines.extend(bars.iter().map(|b| bar_line(b, name, room, look)));
    for (fact, text) in facts(account, moment, &look.zone) {
        lines.push(Line::from(format!("{}  {text}", fitted(fact, name))));
    }
    let flags = flags(account, moment.now, &look.zone);
    if !flags.is_empty() {
        lines.push(Line::from(format!(
            "{}  {}",
            fitted("notes", name),
            flags.join(", ")
        )));
    }
    lines
}

fn identity(account: &AccountStatus, moment: &Moment) -> String {
    let id = crate::core::account::AccountId::new(account.id);
    let mut parts: Vec<String> = id.map(|id| id.to_string()).into_iter().collect();
    parts.extend(account.email.as_deref().map(printable));
    if moment.next == id {
        parts.push(format!("{MARK} next pick here"));
    }
    parts.join(" · ")
}

fn bar_line<'a>(bar: &Bar, name: usize, room: usize, look: &Look) -> Line<'a> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a few columns"
    )]
    let full = (bar.share.unwrap_or(0.0) * room as f64).round() as usize;
    let full = full.min(room);
    Line::from(vec![
        Span::raw(format!("{}  ", fitted(&bar.name, name))),
        Span::styled("█".repeat(full), look.level(bar.level)),
        Span::raw(if bar.share.is_some() { "░" } else { " " }.repeat(room - full)),
        Span::raw(format!("  {}", bar.text)),
    ])
}

fn score_lines<'a>(account: &AccountStatus) -> Vec<Line<'a>> {
    let lines = score(account);
    let last = lines.len() - 1;
    let line = |(number, (name, value)): (usize, &(String, String))| {
        let line = Line::from(format!("{} {value:>6}", fitted(name, 17)));
        if number == last {
            line.style(Style::new().add_modifier(Modifier::BOLD))
        } else {
            line
        }
    };
    lines.iter().enumerate().map(line).collect()
}

fn footer(app: &App, look: &Look, width: usize) -> String {
    let updated = app
        .moment
        .as_ref()
        .map_or_else(String::new, |m| updated(m, &look.zone));
    let problem = app.moment.as_ref().and_then(|m| m.problems.first());
    let left = match (&app.remark, app.refreshing, problem) {
        (_, true, _) => format!("{} sampling …", SPINNER[app.ticks % SPINNER.len()]),
        (Some(remark), ..) => printable(&remark.text),
        (None, false, Some(problem)) => printable(problem),
        (None, false, None) => "↑↓ choose  p pin  r refresh  a sign in  ? help  q quit".to_owned(),
    };
    if left.width() + updated.width() + 2 > width {
        return fitted(&left, width);
    }
    format!("{}{updated}", fitted(&left, width - updated.width()))
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let name = KEYS.iter().map(|(k, _)| k.width()).max().unwrap_or(0);
    let mut lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, what)| Line::from(format!(" {}  {what}", fitted(key, name))))
        .collect();
    lines.push(Line::default());
    lines.push(Line::from(" ▸ is what `ccp run` here would use now"));
    lines.push(Line::from(
        " `ccp why` explains a pick, `ccp help selection` the score",
    ));
    let width = lines
        .iter()
        .map(Line::width)
        .max()
        .unwrap_or(0)
        .saturating_add(3);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(area.width);
    let height = height.min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys ")),
        place,
    );
}

#[cfg(test)]
mod tests;
