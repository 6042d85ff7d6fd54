//! From the text of a document to a typed value.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::check::check;
use crate::placeholder::placeholder;
use crate::problem::{Error, Position, Problem, Source};
use crate::shape::Shape;
use crate::tree::{self, Node};
use crate::variables::Variables;

/// Returns the typed value of a YAML document that was read from `path`.
///
/// The path only appears in the error; no file is read. An empty document and a key without a value have their
/// defaults.
///
/// # Errors
///
/// Returns an error if the text is not YAML or anything in it does not fit the type.
pub fn document<T: DeserializeOwned + JsonSchema>(path: &Path, text: &str) -> Result<T, Error> {
    document_with(path, text, |_| Vec::new())
}

/// Like [`document()`], with rules that types cannot express.
///
/// The rules are applied even if some values do not fit their types, as far as the remaining values can be
/// deserialized. A problem of a rule gets the position of its key. It is dropped if the value of its key does not fit
/// its type.
///
/// # Errors
///
/// Returns an error if the text is not YAML or anything in it does not fit the type or the rules.
pub fn document_with<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    rules: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, Error> {
    document_with_variables(path, text, &Variables::default(), rules)
}

/// Like [`document_with`], with environment variables whose values replace those of the document.
///
/// # Errors
///
/// Returns an error if the text is not YAML, a variable names no key, or anything does not fit the type or the rules.
pub fn document_with_variables<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    variables: &Variables,
    rules: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, Error> {
    document_and_tree(path, text, variables, rules).map(|(value, _)| value)
}

/// Like [`document_with`]. Also returns the positions of the keys, for messages about values that fit their types.
///
/// # Errors
///
/// Returns an error if the text is not YAML or anything in it does not fit the type or the rules.
pub fn document_with_positions<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    rules: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<(T, Positions), Error> {
    let (value, tree) = document_and_tree(path, text, &Variables::default(), rules)?;
    Ok((value, Positions(tree)))
}

/// The positions of the keys of a document.
#[derive(Debug)]
pub struct Positions(Node);

impl Positions {
    /// Returns the position of `key`, such as `shelves[0].name`, or of the nearest key above it that exists. Returns
    /// `None` for the whole document.
    pub fn of(&self, key: &str) -> Option<Position> {
        match self.0.locate(key) {
            Source::File(position) => position,
            Source::Variable(_) => None,
        }
    }
}

fn document_and_tree<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    variables: &Variables,
    rules: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<(T, Node), Error> {
    let shape = Shape::of::<T>();
    let mut tree = tree::parse(text).map_err(|problem| Error::new(path, vec![with_placeholder(problem, text)]))?;
    let mut problems = variables.apply(&shape, &mut tree);
    let mut checked = check(&shape, &tree, variables);
    problems.append(&mut checked.problems);

    match T::deserialize(checked.value.take()) {
        Ok(value) => {
            let broken = rules(&value).into_iter().filter(|problem| checked.judges(&problem.key));
            problems.extend(broken.map(|problem| Problem { source: tree.locate(&problem.key), ..problem }));
            if problems.is_empty() {
                return Ok((value, tree));
            }
        }
        // A value that was left out, and reported, can prevent the deserialization of the rest.
        Err(_) if !problems.is_empty() => {}
        Err(error) => problems.push(Problem::new("", error.to_string())),
    }
    Err(Error::new(path, problems))
}

/// Adds the reason why a document is not YAML if the line of the problem has a placeholder: `{a: ${B}}` needs quotes.
fn with_placeholder(problem: Problem, text: &str) -> Problem {
    let Source::File(Some(Position { line, .. })) = problem.source else { return problem };
    let line = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    match line.and_then(placeholder) {
        Some(found) => {
            let message = format!("{}; `{found}` is not replaced by a variable", problem.message);
            Problem { message, ..problem }
        }
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Library, Paint};

    /// Loads `yaml` with the variables `NAME=value`, and with one rule about the number of books.
    fn load(yaml: &str, variables: &[&str]) -> Result<Library, String> {
        let values = variables.iter().map(|variable| {
            let (name, value) = variable.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        document_with_variables(Path::new("a.yaml"), yaml, &Variables::new("LIBRARY_", values), |library: &Library| {
            let shelves = library.shelves.iter().enumerate().filter(|(_, shelf)| shelf.books > 1000);
            shelves.map(|(index, _)| Problem::new(format!("shelves[{index}].books"), "too many")).collect()
        })
        .map_err(|error| error.to_string())
    }

    fn each_of(yamls: &[&str]) -> String {
        yamls.iter().map(|yaml| load(yaml, &[]).unwrap_err() + "\n").collect()
    }

    fn each_variable(variables: &[&str]) -> String {
        variables.iter().map(|variable| load("", &[variable]).unwrap_err() + "\n").collect()
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let yaml = "
door:
  widht_mm: 900
  max_weight_grams: 2kg
  paint: varnihs
  paint: oil
shelves:
  - books: 1
  - id: b
    books: 1001
paint: oil
flavor: sweet
readers: [ada]
";
        insta::assert_snapshot!(load(yaml, &["LIBRARY_DOOR_IS_OPEN=yes please", "LIBRARY_DOOR_WIDTH=3"]).unwrap_err(), @r#"
        10 problems in a.yaml:
          line 3: door.widht_mm: unknown key; did you mean `width_mm`?
          line 4: door.max_weight_grams: expected an integer of at least 1024, found "2kg"
          line 5: door.paint: expected `none`, `oil` or `varnish`, found "varnihs"; did you mean `varnish`?
          line 6: door.paint: given twice; first on line 5
          line 8: shelves[0].id: missing
          line 11: paint: unknown key; did you mean `door.paint`?
          line 12: flavor: unknown key; known here: name, door, shelves, readers
          line 13: readers: expected a mapping of keys to values, found a list
          LIBRARY_DOOR_IS_OPEN: door.is_open: expected true or false, found "yes please"
          LIBRARY_DOOR_WIDTH: unknown variable; did you mean `LIBRARY_DOOR_WIDTH_MM`?
        "#);
    }

    #[test]
    fn a_value_that_does_not_fit_is_reported_with_the_expected_one() {
        insta::assert_snapshot!(each_of(&[
            "door: {width_mm: wide}",
            "door: {width_mm: 1.5}",
            "door: {width_mm: '900'}",
            "door: {width_mm: 0}",
            "door: {max_weight_grams: 1023}",
            "door: {is_open: 1}",
            "door: {opening_share: half}",
            "door: {paint: Oil}",
            "door: {signs: exit}",
            "door: {signs: [exit, {a: b}]}",
            "door: {bell: 8080}",
            "door: wide",
            "name: [a]",
            "readers: {ada: {max_loans: few}}",
            "readers: {ada: {max_loans: 5000000000}}",
            "door: {}\ndoor: {}",
            "shelves:\n- ",
        ]), @r#"
        a.yaml:1:18: door.width_mm: expected an integer from 1 to 5000, found "wide"
        a.yaml:1:18: door.width_mm: expected an integer from 1 to 5000, found 1.5
        a.yaml:1:18: door.width_mm: expected an integer from 1 to 5000, found "900"
        a.yaml:1:18: door.width_mm: expected an integer from 1 to 5000, found 0
        a.yaml:1:26: door.max_weight_grams: expected an integer of at least 1024, found 1023
        a.yaml:1:17: door.is_open: expected true or false, found 1
        a.yaml:1:23: door.opening_share: expected a number, found "half"
        a.yaml:1:15: door.paint: expected `none`, `oil` or `varnish`, found "Oil"; did you mean `oil`?
        a.yaml:1:15: door.signs: expected a list, found "exit"
        a.yaml:1:22: door.signs[1]: expected text, found a mapping
        a.yaml:1:14: door.bell: expected an address with a port, such as 0.0.0.0:8080, found 8080
        a.yaml:1:7: door: expected a mapping of keys to values, found "wide"
        a.yaml:1:7: name: expected text, found a list
        a.yaml:1:28: readers.ada.max_loans: expected an integer from 0 to 4294967295, found "few"
        a.yaml:1:28: readers.ada.max_loans: expected an integer from 0 to 4294967295, found 5000000000
        a.yaml:2:1: door: given twice; first on line 1
        a.yaml:2:3: shelves[0]: expected a mapping of keys to values, found nothing
        "#);
    }

    #[test]
    fn a_rule_gets_the_line_of_its_key_and_is_skipped_if_the_key_does_not_fit() {
        let yaml = "shelves:\n- id: a\n- id: b\n  books: 1001\n";
        insta::assert_snapshot!(load(yaml, &[]).unwrap_err(), @"a.yaml:4:3: shelves[1].books: too many");
        let yaml = "shelves:\n- idd: a\n- id: b\n  books: 1001\n";
        insta::assert_snapshot!(load(yaml, &[]).unwrap_err(), @"a.yaml:2:3: shelves[0].idd: unknown key; did you mean `id`?");
    }

    #[test]
    fn text_that_is_not_yaml_is_reported_with_its_position() {
        insta::assert_snapshot!(each_of(&[
            "door:\n  width_mm: 5\n is_open: true",
            "- a\n- b",
            "name: a\n---\nname: b",
        ]), @"
        a.yaml:3:2: while parsing a block mapping, did not find expected key
        a.yaml:1:1: expected a mapping of keys to values, found a list
        a.yaml:3:1: only single YAML document expected but multiple found
        ");
    }

    #[test]
    fn an_empty_document_and_keys_without_values_have_defaults() {
        for yaml in ["", "# only a comment\n", "door:\nshelves:\n", "door:\n  width_mm:\n"] {
            assert_eq!(load(yaml, &[]).unwrap(), Library::default(), "{yaml:?}");
        }
        assert_eq!(load("readers: {ada: }", &[]).unwrap().readers["ada"].max_loans, 0);
    }

    #[test]
    fn a_placeholder_is_refused_and_its_problem_names_the_variable_of_the_key() {
        let yaml = "
name: ${NAME}
door:
  width_mm: ${WIDTH:-900}
  paint: ${PAINT}
  keeper: 'Ms ${KEEPER}'
  signs: [exit, '${SIGN}']
shelves: '${SHELVES}'
readers: {For-Kids: {max_loans: '${LOANS}'}}
";
        insta::assert_snapshot!(load(yaml, &["LIBRARY_DOOR_PAINT=oil", "LIBRARY_DOOR_BELL=${BELL}"]).unwrap_err(), @r#"
        7 problems in a.yaml:
          line 2: name: `${NAME}` is not replaced by a variable; set the variable `LIBRARY_NAME`, which overrides this key
          line 4: door.width_mm: `${WIDTH}` is not replaced by a variable; set the variable `LIBRARY_DOOR_WIDTH_MM`, which overrides this key
          line 6: door.keeper: `${KEEPER}` is not replaced by a variable; set the variable `LIBRARY_DOOR_KEEPER`, which overrides this key
          line 7: door.signs[1]: `${SIGN}` is not replaced by a variable; set the variable `LIBRARY_DOOR_SIGNS`, which overrides this key
          line 8: shelves: `${SHELVES}` is not replaced by a variable; write the value itself
          line 9: readers.For-Kids.max_loans: `${LOANS}` is not replaced by a variable; set the variable `LIBRARY_READERS_FOR_KIDS_MAX_LOANS`, which overrides this key
          LIBRARY_DOOR_BELL: door.bell: expected an address with a port, such as 0.0.0.0:8080, found "${BELL}"
        "#);
        let library = load("name: ${NAME}\ndoor: {keeper: $KEEPER}", &["LIBRARY_NAME=${literal}"]).unwrap();
        assert_eq!((library.name.as_str(), library.door.keeper.as_deref()), ("${literal}", Some("$KEEPER")));
        insta::assert_snapshot!(load("door: {width_mm: ${WIDTH}}", &[]).unwrap_err(), @"a.yaml:1:19: while parsing a flow mapping, did not find expected ',' or '}'; `${WIDTH}` is not replaced by a variable");
        let plain = document::<Library>(Path::new("a.yaml"), "name: ${NAME}").unwrap_err();
        insta::assert_snapshot!(plain, @"a.yaml:1:7: name: `${NAME}` is not replaced by a variable; write the value itself");
    }

    #[test]
    fn a_valid_document_has_the_positions_of_its_keys() {
        let yaml = "name: a\nshelves:\n- id: x\n- {id: y, books: 3}\n";
        let (library, positions) =
            document_with_positions::<Library>(Path::new("a.yaml"), yaml, |_| Vec::new()).unwrap();
        assert_eq!(library.shelves.len(), 2);
        let at = |key: &str| positions.of(key).map(|at| (at.line, at.column));
        assert_eq!(at("shelves[0]"), Some((3, 3)));
        assert_eq!(at("shelves[1]"), Some((4, 3)));
        assert_eq!(at("shelves[1].books"), Some((4, 11)));
        assert_eq!(at("shelves[1].missing"), Some((4, 3)));
        assert_eq!(at("missing"), None);
    }

    #[test]
    fn text_keeps_the_spelling_of_the_document() {
        let library = load("name: off\nshelves: [{id: 0042}]", &[]).unwrap();
        assert_eq!((library.name.as_str(), library.shelves[0].id.as_str()), ("off", "0042"));
    }

    #[test]
    fn variables_override_the_document() {
        let yaml = "door: {width_mm: 5, keeper: ada, signs: [a]}\nreaders: {For-Kids: {}}";
        let library = load(
            yaml,
            &[
                "LIBRARY_NAME=off",
                "LIBRARY_DOOR_WIDTH_MM=900",
                "LIBRARY_DOOR_IS_OPEN=true",
                "LIBRARY_DOOR_PAINT=oil",
                "LIBRARY_DOOR_KEEPER=",
                "LIBRARY_DOOR_SIGNS=exit, no dogs",
                "LIBRARY_READERS_FOR_KIDS_MAX_LOANS=3",
                "LIBRARY_READERS_NIGHT_OWLS_MAX_LOANS=4",
                "OTHER_NAME=1",
            ],
        )
        .unwrap();
        assert_eq!(library.name, "off");
        assert_eq!((library.door.width_mm, library.door.is_open, library.door.paint), (900, true, Paint::Oil));
        assert_eq!(library.door.keeper, None);
        assert_eq!(library.door.signs, ["exit", "no dogs"]);
        let loans: Vec<_> = library.readers.iter().map(|(name, reader)| (name.as_str(), reader.max_loans)).collect();
        assert_eq!(loans, [("For-Kids", 3), ("night_owls", 4)]);
        assert_eq!(load(yaml, &["LIBRARY_DOOR_SIGNS="]).unwrap().door.signs, Vec::<String>::new());
    }

    #[test]
    fn variables_append_list_items_in_the_order_of_their_indexes() {
        let variables: Vec<_> = (1..12).rev().map(|index| format!("LIBRARY_SHELVES_{index}_ID={index}")).collect();
        let variables: Vec<_> = variables.iter().map(String::as_str).collect();
        let library = load("shelves: [{id: zero}]", &variables).unwrap();
        let ids: Vec<_> = library.shelves.iter().map(|shelf| shelf.id.as_str()).collect();
        assert_eq!(ids, ["zero", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    }

    #[test]
    fn a_problem_of_a_variable_names_the_variable() {
        insta::assert_snapshot!(each_variable(&[
            "LIBRARY_DOOR_WIDTH_MM=wide",
            "LIBRARY_DOOR_WIDTH_MM=",
            "LIBRARY_DOOR_PAINT=olj",
            "LIBRARY_SHELVES_0_BOOKS=2",
            "LIBRARY_SHELVES_1_ID=b",
            "LIBRARY_DOOR_WIDTH=5",
            "LIBRARY_SHELVES_3_IDD=5",
            "LIBRARY_DOOR=5",
            "LIBRARY_XYZZY=5",
        ]), @r#"
        LIBRARY_DOOR_WIDTH_MM: door.width_mm: expected an integer from 1 to 5000, found "wide"
        LIBRARY_DOOR_WIDTH_MM: door.width_mm: expected an integer from 1 to 5000, found ""
        LIBRARY_DOOR_PAINT: door.paint: expected `none`, `oil` or `varnish`, found "olj"
        LIBRARY_SHELVES_0_BOOKS: shelves[0].id: missing
        LIBRARY_SHELVES_1_ID: shelves[1]: the next index of the list is 0
        LIBRARY_DOOR_WIDTH: unknown variable; did you mean `LIBRARY_DOOR_WIDTH_MM`?
        LIBRARY_SHELVES_3_IDD: unknown variable; did you mean `LIBRARY_SHELVES_3_ID`?
        LIBRARY_DOOR: unknown variable; did you mean `LIBRARY_DOOR_BELL`?
        LIBRARY_XYZZY: unknown variable; a key's variable is its path in upper case, such as `LIBRARY_NAME`
        "#);
    }
}
