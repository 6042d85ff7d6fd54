use clap::CommandFactory as _;

use super::*;

/// Returns the command and its subcommands, each with the words that call it.
fn commands() -> Vec<(String, clap::Command)> {
    let mut commands = vec![("protobridge".to_owned(), Cli::command())];
    let mut next = 0;
    while let Some((words, command)) = commands.get(next).cloned() {
        commands.extend(command.get_subcommands().map(|sub| (format!("{words} {}", sub.get_name()), sub.clone())));
        next += 1;
    }
    commands
}

#[test]
fn no_command_has_an_option_twice() {
    Cli::command().debug_assert();
}

#[test]
fn a_paragraph_of_the_help_is_one_line_that_the_terminal_wraps() {
    let commands = commands();
    assert!(commands.len() > 10);
    for (words, command) in commands {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
            assert!(
                !(is_text(pair[0]) && is_text(pair[1])),
                "{words} --help breaks a paragraph:\n{}\n{}",
                pair[0],
                pair[1]
            );
        }
    }
}

#[test]
fn an_example_in_the_help_fits_on_a_line() {
    /// The usual width of a terminal, which breaks a longer line in the middle of a command.
    const COLUMNS: usize = 80;
    for (words, command) in commands() {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in text.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() <= COLUMNS, "{words} --help: {line}");
        }
    }
}
