use std::time::{Duration, Instant};
use crate::world::{World, sync, end, metrics};

#[tokio::test(flavor = "multi_thread")]
async fn measure() {
    let Ok(count) = std::env::var("MEASURE") else { return };
    let count: u32 = count.parse().unwrap();
    let memory: u64 = std::env::var("MEASURE_MB").unwrap().parse().unwrap();
    let (mut world, _) = World::with_vault().await;
    world.set("LOG_LEVEL", "info");
    let vault = world.vault("Many");
    let began = Instant::now();
    for n in 0..count {
        world.put(&vault, &format!("folder {}/sub/note number {n}.md", n % 500), &format!("note {n} {}", "x".repeat(2000)));
    }
    if std::env::var("MEASURE_BIG").is_ok() {
        let mut big = vec![0u8; 198 << 20];
        let mut x = 1u64;
        for b in &mut big { x = x.wrapping_mul(6364136223846793005).wrapping_add(1); *b = (x >> 56) as u8; }
        world.server.put(&vault, "big.bin", &big, obsidian_sync::Millis(1)).unwrap();
    }
    eprintln!("seeded in {:?}", began.elapsed());
    let boot = std::env::var("MEASURE_BOOT").unwrap();
    let mut setup = obsync_doubles::runtime::Function::of(boot).memory(memory);
    for (k, v) in world.variables.iter() { setup = setup.env(k, v); }
    if obsync_doubles::runtime::limits_memory() { setup = setup.limit_memory(); eprintln!("limited"); }
    let function = setup.start().await;
    eprintln!("ready {:?}", function.ready().await);
    let mut full = sync("Many");
    full["options"] = serde_json::json!({"full_sync": true});
    for (what, event) in [("first", sync("Many")), ("idle", sync("Many")), ("change", sync("Many")), ("full", full.clone()), ("full", full)] {
        if what == "change" { world.put(&vault, "folder 1/sub/note number 1.md", "changed"); }
        let began = Instant::now();
        let outcome = function.invoke(event, Duration::from_secs(900)).await;
        eprintln!("{what} {:?} {:?} peak {:?}", began.elapsed(), outcome, function.peak_rss().map(|b| b >> 20));
    }
    let function = { drop(function); let boot = std::env::var("MEASURE_BOOT").unwrap(); let mut setup = obsync_doubles::runtime::Function::of(boot).memory(memory);
    for (k, v) in world.variables.iter() { setup = setup.env(k, v); }
    if obsync_doubles::runtime::limits_memory() { setup = setup.limit_memory(); } setup.start().await };
    eprintln!("cold ready {:?}", function.ready().await);
    world.put(&vault, "folder 1/sub/note number 1.md", "changed again");
    let outcome = function.invoke(sync("Many"), Duration::from_secs(900)).await;
    eprintln!("cold change {:?} peak {:?}", outcome, function.peak_rss().map(|b| b >> 20));
    let _ = metrics(&function, 1).await;
    eprintln!("{}", end(function).await);
}
