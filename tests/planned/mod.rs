//! Recorded training steps, for tests of what is planned for them.

use tagseg::config::Config;
use tagseg::engine::graph::{DType, Graph};
use tagseg::method::{Methods, Schedule, Sizes, Step};
use tagseg::parts::network::NetworkConfig;

/// The step of a preset at its own crop and batch (or those in `settings`), once for every phase.
pub fn steps(preset: &str, settings: &[&str]) -> Vec<Graph> {
    let mut config = Config::preset(preset).unwrap();
    settings.iter().for_each(|setting| config.set(setting).unwrap());
    let (method, network) = (Methods::default().of(&config).unwrap(), NetworkConfig::new(&config, 20).unwrap());
    let phases = Schedule::new(&method, &config, &network.encoder).phases();
    let sizes = Sizes { batch: config.batch_global, crop: [config.train_crop; 2], slots: 8 };
    let record = |phase| {
        let step = Step::record(&method, &config, &network, &phase, sizes, true).unwrap();
        let finite = step.update().unwrap();
        let values = step.record_values(&finite).unwrap();
        let row = step.graph.input("row", [1], DType::I32);
        step.graph.state("history", [4, values.shape().len()]).write_row(&values, &row).unwrap();
        step.graph
    };
    phases.into_iter().map(record).collect()
}
