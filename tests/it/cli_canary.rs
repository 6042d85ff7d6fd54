//! `protobridge canary` and `run --canary` as processes.

use crate::command::{self, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::service::Service;
use crate::stage::Stage;
use crate::wait;

// The commands do not depend on the emulator.
scenarios! {
    both: [];
    embedded: [
        a_service_can_send_canaries_itself,
        the_command_ends_at_once_at_sigterm,
        the_command_and_the_option_need_a_configured_canary,
    ];
    ministack: [];
}

/// Long enough that no canary is lost while everything works, in seconds.
const AMPLE: u64 = 120;

async fn a_service_can_send_canaries_itself(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(AMPLE, Some(false)).await;
    let service = stage.spawn_with(&["--canary"]).await;
    wait::until("a canary returned", async || {
        let status = service.get("/status").await.expect("the service runs").json();
        (status["canary"]["returned"].as_u64()? > 0).then_some(())
    })
    .await;
    let metrics = service.get("/metrics").await.expect("the service runs").body;
    assert!(
        metrics.contains("protobridge_canary_lost_total 0") && metrics.contains("protobridge_build_info{"),
        "{metrics}"
    );
    service.terminate();
    let (status, log) = service.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

async fn the_command_ends_at_once_at_sigterm(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(AMPLE, Some(false)).await;
    // No service runs, so a long poll is under way.
    let canaries = Service::start_as("canary", protobridge(), &stage.write_files(), &[]).await;
    let ready = async || (canaries.get("/readyz").await.ok()?.status == 200).then_some(());
    wait::until("the prober is ready", ready).await;
    canaries.terminate();
    let (status, log) = canaries.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains("\"stopped\"")), "{log}");
}

async fn the_command_and_the_option_need_a_configured_canary(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "").await;
    let config = stage.write_files();
    for arguments in [&["canary"][..], &["run", "--canary"]] {
        let mut command = protobridge();
        command.args(arguments).arg("--config").arg(&config).env("PROTOBRIDGE_LOG_LEVEL", "off");
        let ended =
            tokio::task::spawn_blocking(move || command::run(&mut command, b"")).await.expect("it does not panic");
        assert_eq!(ended.code, Some(64), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("canary.topic: missing; set it, and `canary.return_queue_url`"),
            "{}",
            ended.stderr
        );
    }
}
