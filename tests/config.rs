//! The configuration: presets, files, `--set`, errors, and reading written configurations.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

use tagseg::config::{Config, OfdMode, Propagation, Rung, SigmaSDomain};
use tagseg::method::Methods;

fn message(result: tagseg::Result<()>) -> String {
    result.expect_err("should be refused").to_string()
}

/// Protects: the oldest Rust that is promised is the one that is declared, and that a job of CI builds with.
#[test]
fn the_oldest_rust_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let readme = format!("**Rust {version} or newer**");
    assert!(include_str!("../README.md").contains(&readme), "README.md lacks: {readme}");
    let contributing = format!("Rust {version} or newer");
    assert!(include_str!("../CONTRIBUTING.md").contains(&contributing), "CONTRIBUTING.md lacks: {contributing}");
    let job = format!("rustup toolchain install {version} ");
    assert!(include_str!("../.github/workflows/ci.yml").contains(&job), "ci.yml lacks: {job}");
}

#[test]
fn every_preset_is_valid_and_round_trips() {
    for name in Config::preset_names() {
        let config = Config::preset(name).unwrap();
        Methods::default().check(&config).unwrap();
        assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config, "{name}");
    }
}

/// Protects: every rung applies to every preset, but for the walk over attention that `photos` does not have; the
/// ladder adds the parts of Table VI, and its top rung is the preset itself.
#[test]
fn rungs_omit_the_parts_above_them() {
    for preset in Config::preset_names() {
        for rung in Rung::ALL {
            let name = format!("{preset}+{}", rung.name());
            let config = Config::preset(&name).unwrap();
            let checked = Methods::default().check(&config);
            assert_eq!(checked.is_err(), name == "photos+afa", "{name}: {checked:?}");
            assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config, "{name}");
        }
        assert_eq!(Config::preset(&format!("{preset}+aff")).unwrap(), Config::preset(preset).unwrap());
    }
    let parts = |rung: &str| {
        let config = Config::preset(&format!("nano+{rung}")).unwrap();
        (config.lambda, config.propagation, config.ofd_mode, config.method_name)
    };
    use {OfdMode::*, Propagation::*};
    for (rung, expected) in [
        ("cls", ([0.0; 3], Par, Off, "bmp")),
        ("c2s", ([0.7, 0.0, 0.0], Par, Off, "bmp")),
        ("s2c", ([0.7, 0.1, 0.0], Par, Off, "bmp")),
        ("bsp", ([0.7, 0.1, 0.0], Bsp, Off, "bmp")),
        ("ofd", ([0.7, 0.1, 0.0], Bsp, Released, "bmp")),
        ("aff", ([0.7, 0.1, 0.1], Bsp, Released, "bmp")),
        ("par", ([0.7, 0.1, 0.1], Par, Released, "bmp")),
        ("afa", ([0.7, 0.1, 0.1], Bsp, Released, "afa")),
        ("full", ([1.0, 0.0, 0.0], Par, Off, "segformer")),
    ] {
        let (lambda, propagation, ofd, method) = parts(rung);
        assert_eq!((lambda, propagation, ofd, &method[..]), expected, "{rung}");
    }
    let text = Config::preset("nano+sc2").unwrap_err().to_string();
    assert!(text.contains("no rung `sc2`") && text.contains("cls, c2s, s2c"), "{text}");
}

#[test]
fn a_changed_configuration_round_trips() {
    let mut config = Config::preset("nano").unwrap();
    for assignment in ["sigma_s=-1.25", "par.dilations=[1, 3]", "optim.eps=1e-12", "seed=77", "data.flip=false"] {
        config.set(assignment).unwrap();
    }
    let back = Config::from_toml(&config.to_toml()).unwrap();
    assert_eq!(back, config);
    assert_eq!((back.sigma_s, back.seed, back.optim_eps), (-1.25, 77, 1e-12));
}

#[test]
fn defaults_are_those_of_the_method() {
    let config = Config::default();
    assert_eq!((&config.method_name[..], &config.model_backbone[..]), ("bmp", "mit_b1"));
    assert_eq!((config.sigma_c, config.sigma_s), (0.5, 0.75));
    assert_eq!(config.lambda, [0.7, 0.1, 0.1]);
    assert_eq!((config.schedule_n_c2s, config.schedule_n_s2c, config.schedule_n_bsp), (2000, 2000, 4000));
    assert_eq!((config.optim_lr, config.optim_head_factor, config.optim_norm_lr_factor), (6e-5, 10.0, 0.0));
}

/// Protects: the schedules of the published presets are the published ones, and a run of any length keeps their
/// proportions.
#[test]
fn schedules_follow_the_number_of_steps() {
    let schedule = |config: &Config| {
        Methods::default().check(config).unwrap();
        let starts = [config.schedule_n_c2s, config.schedule_n_s2c, config.schedule_n_bsp];
        (starts, [config.optim_warmup_iters, config.train_eval_every, config.train_save_every, config.train_log_every])
    };
    for (preset, starts, eval) in [
        ("voc", [2000, 2000, 4000], 2000),
        ("voc-paper", [2000, 4000, 4000], 2000),
        ("voc-script", [2000, 2000, 4000], 2000),
        ("coco", [13_000, 13_000, 15_000], 5000),
        ("coco-literal", [13_000, 4000, 4000], 5000),
    ] {
        let mut config = Config::preset(preset).unwrap();
        assert_eq!(schedule(&config), (starts, [1500, eval, 2000, 200]), "{preset}");
        config.set(&format!("train.iters={}", config.train_iters / 10)).unwrap();
        assert_eq!(schedule(&config), (starts.map(|start| start / 10), [150, eval / 10, 200, 20]), "{preset}");
        for steps in 1..20 {
            config.set(&format!("train.iters={steps}")).unwrap();
            schedule(&config);
        }
    }
}

#[test]
fn every_option_is_documented_in_the_written_file() {
    let text = Config::default().to_toml();
    for option in Config::options() {
        assert!(text.contains(option.doc.trim()), "{}", option.name);
    }
    assert!(text.contains("\n\"sigma_s.domain\" = \"logit\"\n"), "{text}");
    assert!(text.contains("\noptim.lr = 6e-5\n"), "{text}");
}

#[test]
fn files_may_use_tables_dotted_and_quoted_keys() {
    let mut config = Config::default();
    config.load_toml("sigma_s = 0.5\n\"sigma_s.domain\" = \"prob\"\ncam.high = 0.6\n[optim]\nlr = 1\n").unwrap();
    assert_eq!((config.sigma_s, config.sigma_s_domain), (0.5, SigmaSDomain::Prob));
    assert_eq!((config.cam_high, config.optim_lr), (0.6, 1.0));
}

#[test]
fn a_share_of_the_run_follows_its_length_until_it_is_set_to_a_number() {
    let mut config = Config::preset("nano").unwrap();
    assert_eq!((config.train_iters, config.optim_warmup_iters, config.schedule_n_c2s), (300, 20, 60));
    config.load_toml("schedule.n_bsp = 50").unwrap();
    config.set("train.iters=600").unwrap();
    assert_eq!((config.optim_warmup_iters, config.schedule_n_c2s, config.schedule_n_s2c), (40, 120, 240));
    assert_eq!(config.schedule_n_bsp, 50);
    assert!(config.to_toml().contains("\nschedule.n_c2s = 120\n"));

    config.set("schedule.n_c2s=50%").unwrap();
    assert_eq!(config.schedule_n_c2s, 300);
    config.set("train.iters=2").unwrap();
    assert_eq!((config.optim_warmup_iters, config.train_eval_every), (0, 1), "at least one step between evaluations");
}

#[test]
fn set_overrides_the_file_and_accepts_bare_words() {
    let mut config = Config::preset("nano").unwrap();
    config.load_toml("batch.global = 4").unwrap();
    config.set("batch.global=16").unwrap();
    config.set("model.backbone = mit_b0").unwrap();
    config.set("ms.scales=[1, 0.5]").unwrap();
    assert_eq!((config.batch_global, &config.model_backbone[..]), (16, "mit_b0"));
    assert_eq!(config.ms_scales, [1.0, 0.5]);
}

#[test]
fn errors_on_unknown_keys_suggest_the_most_similar() {
    for (key, nearest) in [
        ("iters", "train.iters"),
        ("sigma_s.domian", "sigma_s.domain"),
        ("optim.lrr", "optim.lr"),
        ("crop", "train.crop"),
    ] {
        let text = message(Config::default().set(&format!("{key}=1")));
        assert!(text.contains(&format!("`{nearest}`")), "{text}");
    }
    assert!(message(Config::default().load_toml("[train]\niterz = 3")).contains("`train.iters`"));
    assert!(Config::preset("nana").unwrap_err().to_string().contains("coco-literal, nano"));
}

#[test]
fn errors_on_invalid_values_list_the_allowed_ones_and_change_nothing() {
    for (assignment, allowed) in [
        ("train.iters=many", "a whole number from 1 to 10000000"),
        ("train.iters=0", "from 1 to 10000000"),
        ("train.iters=-3", "from 1 to 10000000"),
        ("optim.lr=nan", "a number of at least 0"),
        ("cam.high=1.5", "from 0 to 1"),
        ("lambda=[1, 2]", "a list of 3"),
        ("ms.scales=[]", "a list"),
        ("c2s.kind=mse", "bce or ce"),
        ("optim.beta1=1", "below 1"),
        ("schedule.n_c2s=120%", "\"20%\""),
        ("data.flip=1", "true or false"),
        ("seed", "key=value"),
    ] {
        let mut config = Config::default();
        let text = message(config.set(assignment));
        assert!(text.contains(allowed) && !text.contains('\n'), "{text}");
        assert_eq!(config, Config::default());
    }
    let mut config = Config::default();
    let text = message(config.load_toml("seed = 3\nsigma_c = = 1"));
    assert!(text.contains("line 2 is not TOML") && !text.contains('\n'), "{text}");
    assert_eq!(config.seed, 1);
}

#[test]
fn options_must_fit_each_other() {
    for (assignments, key) in [
        (&["train.crop=100"][..], "train.crop"),
        (&["train.crop=48"], "train.crop"),
        (&["model.strides=[4, 2, 2, 3]"], "train.crop"),
        (&["model.strides=[8, 2, 2, 1]", "train.crop=64"], "train.crop"),
        (&["batch.global=3"], "batch.global"),
        (&["cam.low=0.9"], "cam.low"),
        (&["train.iters=1500", "optim.warmup_iters=1500"], "optim.warmup_iters"),
        (&["data.scale=[2, 1]"], "data.scale"),
        (&["model.backbone=mit_b9"], "model.backbone"),
        (&["method.name=bpm"], "method.name"),
    ] {
        let mut config = Config::default();
        assignments.iter().for_each(|assignment| config.set(assignment).unwrap());
        let text = message(Methods::default().check(&config));
        assert!(text.contains(&format!("`{key}`")), "{text}");
    }
}

/// Protects: `tagseg config` prints shares of the run as such, so that its output suits runs of any length; what a file
/// for a longer run leaves out of a short one is reported.
#[test]
fn a_printed_preset_suits_any_length() {
    for name in Config::preset_names() {
        let preset = Config::preset(name).unwrap();
        let mut read = Config::from_toml(&preset.to_toml_with_shares()).unwrap();
        assert_eq!(read, preset, "{name}");
        let mut shorter = preset.clone();
        for config in [&mut read, &mut shorter] {
            config.set("train.iters=60").unwrap();
        }
        assert_eq!(read, shorter, "{name}");
        assert_eq!(read.parts_beyond_the_run(), []);
    }
    let text = Config::preset("photos").unwrap().to_toml_with_shares();
    assert!(text.contains("\nschedule.n_c2s = \"20%\"\n") && text.contains("\ntrain.iters = 600\n"), "{text}");

    let mut numbers = Config::from_toml(&Config::preset("photos").unwrap().to_toml()).unwrap();
    numbers.set("train.iters=60").unwrap();
    let late = [("c2s", "schedule.n_c2s", 120), ("s2c", "schedule.n_s2c", 240), ("BSP", "schedule.n_bsp", 240)];
    assert_eq!(numbers.parts_beyond_the_run(), late);
    // Left out on purpose.
    for assignment in ["schedule.n_c2s=60", "lambda=[1, 0, 0]", "propagation=par"] {
        numbers.set(assignment).unwrap();
    }
    assert_eq!(numbers.parts_beyond_the_run(), []);
}

/// Protects: the ladder has no rung twice.
#[test]
fn rungs_of_a_ladder_differ() {
    use Rung::{Aff, Bsp, C2s, Cls, Ofd, S2c};
    assert_eq!(Rung::ladder_of(&Config::preset("nano").unwrap()).unwrap(), Rung::LADDER);
    assert_eq!(Rung::ladder_of(&Config::preset("photos").unwrap()).unwrap(), [Cls, C2s, S2c, Bsp, Ofd]);
    let mut without = Config::preset("nano").unwrap();
    without.set("propagation=par").unwrap();
    assert_eq!(Rung::ladder_of(&without).unwrap(), [Cls, C2s, S2c, Ofd, Aff]);
    assert!(!Rung::ladder_of(&without).unwrap().contains(&Bsp));
}
