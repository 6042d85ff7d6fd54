use super::*;

const ID: &str = "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63";

fn parse(text: &str) -> Result<Schemas, String> {
    Schemas::parse(Path::new("schemas.yaml"), text).map_err(|error| error.to_string())
}

fn reference(version: &str, index: u32) -> GlueReference {
    GlueReference { version: Uuid::try_parse(version).unwrap(), index }
}

fn type_name(schemas: &Schemas, version: &str, index: u32) -> String {
    let name = schemas.type_name(&reference(version, index));
    name.map_or_else(|error| format!("error: {error}"), ToString::to_string)
}

#[test]
fn an_index_counts_all_messages_of_the_schema_sorted_by_name() {
    // The example of the serializer's own documentation, and names whose order depends on the letter after the dot.
    let schemas = parse(&format!(
        "schemas: [{{id: {ID}, types: [B.C, B, B.A.D, B.A]}}, {{id: {}, types: [a.BA, a.b, a.B.C, a.B]}}]",
        ID.replace("b7", "00").to_uppercase()
    ));
    let schemas = schemas.unwrap();
    assert_eq!([0, 1, 2, 3].map(|index| type_name(&schemas, ID, index)), ["B", "B.A", "B.A.D", "B.C"]);
    let other = ID.replace("b7", "00");
    assert_eq!([0, 1, 2, 3].map(|index| type_name(&schemas, &other, index)), ["a.B", "a.B.C", "a.BA", "a.b"]);
    assert!(schemas.is_configured() && !Schemas::default().is_configured());
}

#[test]
fn an_unknown_version_or_index_is_an_error_that_names_the_way_out() {
    let schemas = parse(&format!("schemas: [{{id: {ID}, types: [a.B]}}]")).unwrap();
    assert_eq!(
        [type_name(&schemas, &ID.replace("b7", "00"), 0), type_name(&schemas, ID, 1)],
        [
            "error: `glue.schemas_file` has no schema version 00b4a7f0-9c96-4e4a-a687-fb5de9ef0c63; add it and restart protobridge",
            "error: there is no message 1 of Glue schema version b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63, for which `glue.schemas_file` lists 1 message(s); list all messages of its `.proto` file, nested ones and map entries included",
        ]
    );
}

#[test]
fn an_invalid_file_is_refused_with_all_its_problems() {
    let yaml = format!(
        "
schemas:
  - {{id: {ID}, types: []}}
  - {{id: {}, types: [a b, a.B, a.B]}}
  - {{id: 7, types: [a.B]}}
  - {{id: {}, types: [a.B]}}
",
        ID.to_uppercase(),
        ID.replace('-', "")
    );
    insta::assert_snapshot!(parse(&yaml).unwrap_err(), @r#"
    6 problems in schemas.yaml:
      line 3: schemas[0].types: is empty; list all messages of the schema
      line 4: schemas[1].id: b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63 is the id of schemas[0] as well
      line 4: schemas[1].types[0]: "a b" is not a full name such as `shop.v1.OrderPlaced`
      line 4: schemas[1].types[2]: a.B is types[1] as well
      line 5: schemas[2].id: "7" is not a UUID such as `b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63`
      line 6: schemas[3].id: "b7b4a7f09c964e4aa687fb5de9ef0c63" is not a UUID such as `b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63`
    "#);
    insta::assert_snapshot!(Schemas::load(Path::new("nowhere/schemas.yaml")).unwrap_err().to_string(), @"cannot read schemas file nowhere/schemas.yaml: No such file or directory (os error 2); set `glue.schemas_file` to it");
}
