//! A story as text.

use std::fmt;

use super::super::stamp;
use super::{Chapter, Story};

/// The most reasons that are listed; the rest is counted.
const MAX_REASONS: usize = 8;

/// The timeline of each event, then the verdict, then why rows can be missing.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chapter in &self.chapters {
            chapter.fmt(f)?;
        }
        for sentence in &self.verdict {
            writeln!(f, "{sentence}")?;
        }
        if !self.not_known.is_empty() {
            writeln!(f, "Rows can be missing:")?;
        }
        for reason in self.not_known.iter().take(MAX_REASONS) {
            writeln!(f, "  {reason}")?;
        }
        match self.not_known.len().saturating_sub(MAX_REASONS) {
            0 => Ok(()),
            more => writeln!(f, "  There are {more} more reasons; --explain lists all of them."),
        }
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event_type = self.event_type.as_deref().unwrap_or("(unknown type)");
        writeln!(f, "{event_type} {}", self.event_id.as_deref().unwrap_or("(unknown event id)"))?;
        let width = self.entries.iter().filter(|entry| entry.note.is_some()).map(|entry| entry.text.chars().count());
        let width = width.max().unwrap_or(0);
        let mut day = String::new();
        for entry in &self.entries {
            let today = stamp::day(entry.at);
            if today != day {
                writeln!(f, " {today} (UTC)")?;
                day = today;
            }
            let time = stamp::time_of_day(entry.at);
            match entry.note {
                Some(note) => writeln!(f, " {time}  {:<width$}  ← {note}", entry.text)?,
                None => writeln!(f, " {time}  {}", entry.text)?,
            }
        }
        Ok(())
    }
}
