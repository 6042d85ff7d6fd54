//! What a comparison says about claim checks.

use super::*;

/// Returns a folder with a bucket for claim checks, in which `acme` has this mode.
fn folder(mode: &str) -> Folder {
    let folder = Folder::new();
    folder.write("protobridge.yaml", format!("{CONFIG}claim_check: {{bucket: acme-claims}}\n"));
    folder.write("customers.yaml", customers(mode));
    folder
}

fn customers(mode: &str) -> String {
    CUSTOMERS.replace("{id: acme}", &format!("{{id: acme, claim_check: {mode}}}"))
}

async fn lines(folder: &Folder, name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    let candidate = folder.write(name, content);
    folder.compare(&[candidate], &Filter::default(), messages()).await.unwrap().lines()
}

#[tokio::test]
async fn a_claim_check_breaks_consumers_and_its_end_does_not() {
    let line =
        |what: &str| ["Order: 2", "Payment: 1"].map(|events| format!("acme x.{events} claim_check_changed {what}"));
    let found = lines(&folder("on"), "new.yaml", customers("always")).await;
    assert_eq!(found, line("JSON -> claim check !"));
    let found = lines(&folder("always"), "new.yaml", customers("off")).await;
    assert_eq!(found, line("claim check -> JSON"));
}

#[tokio::test]
async fn the_json_of_claim_checks_is_compared_like_any_other() {
    let expected = lines(&folder("off"), "order.binpb", order("remark = 7", "comment = 7")).await;
    assert!(expected.contains(&"acme x.Order: 1 path_gone remark !".to_owned()), "{expected:?}");
    assert_eq!(lines(&folder("always"), "order.binpb", order("remark = 7", "comment = 7")).await, expected);
}
