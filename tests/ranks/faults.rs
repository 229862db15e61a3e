//! A fault in one process ends all of them, and the run can be resumed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tagseg::engine::kernel::{KernelTable, Kernels};
use tagseg::run::weights::{Checkpoint, Checkpoints};

use crate::place::{LONG_RUN, Place, alone, fail, is_open_mpi, launcher, processes, ranks, succeed, two, wait_for};

fn signal(number: u32, name: &str) {
    assert!(Command::new("kill").args([name, &number.to_string()]).status().unwrap().success());
}

/// Waits until no process of a run is left. A launcher may end before those that it ends.
fn wait_for_the_end(run: &Path, begun: Instant, seconds: u64) {
    let text = run.display().to_string();
    while !processes(&text).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{:?} are left of {text}", processes(&text));
        sleep(Duration::from_millis(20));
    }
}

/// Protects: if a rank is killed, nothing is left running after ten seconds; resumed with as many ranks, in processes or
/// virtual, the run has the bits of one that was not killed.
#[test]
fn a_killed_rank_ends_the_run_which_resumes_to_the_same_bits() {
    let place = Place::of_all();
    let mut job = ranks(2, &place.train("killed", &[])).stderr(Stdio::null()).spawn().unwrap();
    let run = place.path("killed");
    wait_for(&run, 0);
    wait_for(&run, 3);
    let own = processes(&run.display().to_string());
    assert_eq!(own.len(), 2);
    signal(own[1], "-KILL");
    let killed = Instant::now();
    assert!(!job.wait().unwrap().success());
    wait_for_the_end(&run, killed, 10);
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    place.copy("killed", "killed_too", 3);
    succeed(ranks(2, &place.resume("killed")));
    succeed(alone(&place.resume("killed_too")));
    assert!(place.ends("killed") == place.ends("whole"));
    assert!(place.ends("killed_too") == place.ends("whole"));
}

/// Protects: SIGTERM at any rank saves one checkpoint at one step of all, which resumes to the same bits.
#[test]
fn a_stopped_run_is_saved_once_and_resumes() {
    let place = Place::of_all();
    place.long();
    let mut job = ranks(2, &place.train("stopped", &LONG_RUN)).stderr(Stdio::null()).spawn().unwrap();
    let run = place.path("stopped");
    wait_for(&run, 20);
    signal(processes(&run.display().to_string())[1], "-TERM");
    job.wait().unwrap();
    let saved = Checkpoints::of(&run).newest().unwrap().checkpoint.step;
    println!("stopped at step {saved} of 200");
    assert!((20..200).contains(&saved), "{saved}");
    succeed(ranks(2, &place.resume("stopped")));
    assert!(place.ends("stopped").0 == place.ends("long").0);
}

/// Protects: a signal to the launcher stops all ranks at one step, which is saved once and resumes to the same bits. Open
/// MPI passes SIGTERM on, and kills what is left after as long again; MPICH passes SIGINT on at once.
#[test]
fn a_signal_to_the_launcher_saves_once() {
    let place = Place::of_all();
    place.long();
    let mut command = launcher();
    let name = match is_open_mpi() {
        true => {
            command.args(["--mca", "odls_base_sigkill_timeout", "3"]);
            "-TERM"
        }
        false => "-INT",
    };
    command.args(["-n", "2", env!("CARGO_BIN_EXE_tagseg")]).args(place.train("told", &LONG_RUN));
    let mut job = command.stderr(Stdio::null()).spawn().unwrap();
    let run = place.path("told");
    wait_for(&run, 20);
    signal(job.id(), name);
    let begun = Instant::now();
    job.wait().unwrap();
    wait_for_the_end(&run, begun, 10);
    let saved = Checkpoints::of(&run).newest().unwrap().checkpoint.step;
    println!("stopped at step {saved} of 200 after {:?}", begun.elapsed());
    assert!((20..200).contains(&saved), "{saved}");
    succeed(ranks(2, &place.resume("told")));
    assert!(place.ends("told").0 == place.ends("long").0);
}

/// Protects: many steps take no more memory than few, in any rank.
#[test]
fn memory_does_not_grow() {
    let held = Place::of_all().long();
    println!("kilobytes of each rank after 60 and 160 steps: {held:?}");
    assert_eq!(held.len(), 2);
    for [early, late] in held {
        assert!(late * 100 <= early * 102, "{early} kB became {late} kB");
    }
}

/// Protects: a run may be resumed by another number of ranks, and that is said.
#[test]
fn another_number_of_ranks_is_said() {
    let place = Place::of_all();
    place.copy("whole", "more", 3);
    let told = succeed(ranks(4, &place.resume("more")));
    assert!(told.contains("batch.ranks was 2 so far and now is 4; results will not be bit-identical"), "{told}");
}

/// Protects: a list of devices is for as many processes as it has entries: one process resumes the run on a
/// device of its own. A run may start from the weights of the run that it replaces.
#[test]
fn a_list_of_devices_is_not_kept_for_another_number() {
    let place = Place::of_all();
    let listed = [place.train("listed", &[]), vec!["--device".into(), "0,0".into()]].concat();
    succeed(ranks(2, &listed));
    place.copy("listed", "listed_alone", 3);
    succeed(alone(&place.resume("listed_alone")));
    assert!(place.ends("listed_alone") == place.ends("whole"));
    let weights = place.path("listed").display().to_string();
    succeed(ranks(2, &[place.train("listed", &[]), vec!["--weights".into(), weights]].concat()));
}

/// Protects: ranks that find another state to resume from, be it of one bit, are refused before they train.
#[test]
fn ranks_that_resume_from_different_states_are_refused() {
    let place = Place::of_all();
    place.copy("whole", "here", 3);
    let elsewhere = place.copy("whole", "there", 3);
    let mut checkpoint = Checkpoint::open(&place.path("there")).unwrap().checkpoint;
    let (_, values) = checkpoint.tensors.values_mut().next().unwrap();
    values[0] = f32::from_bits(values[0].to_bits() ^ 1);
    elsewhere.put(&checkpoint).unwrap();
    let text = fail(two(&place.resume("here"), &place.resume("there")));
    assert!(text.contains("rank 1 has other weights than rank 0 at step 3"), "{text}");
    let text = fail(two(&place.resume("here"), &place.resume("whole")));
    assert!(text.contains("rank 1 finds step 6 here, but rank 0 step 3"), "{text}");
}

/// Protects: ranks that differ are refused before the first step, and a batch that cannot be divided with the possible
/// numbers; each error is one line.
#[test]
fn ranks_that_do_not_fit_are_refused() {
    let place = Place::of_all();
    let other = |setting: &str| fail(two(&place.train("run", &[]), &place.train("run", &[setting])));
    assert!(other("seed=2").contains("rank 1 has other options than rank 0 at step 0"));
    let shapes = tagseg::data::shapes::ShapesOptions { train: 15, val: 2, size: 64, ..Default::default() };
    tagseg::data::shapes::generate(&place.path("elsewhere"), &shapes).unwrap();
    let moved = |to: &str| {
        let [data, to] = ["data", to].map(|name| place.path(name).display().to_string());
        place.train("run", &[]).into_iter().map(|arg| if arg == data { to.clone() } else { arg }).collect::<Vec<_>>()
    };
    let text = fail(two(&place.train("run", &[]), &moved("elsewhere")));
    assert!(text.contains("rank 1 has another data set than rank 0"), "{text}");
    let scored = place.path("scored");
    let _ = std::fs::remove_dir_all(&scored);
    assert!(Command::new("cp").arg("-r").args([place.path("data"), scored.clone()]).status().unwrap().success());
    let list = scored.join("ImageSets/Segmentation/val.txt");
    let fewer: Vec<_> = std::fs::read_to_string(&list).unwrap().lines().skip(1).map(String::from).collect();
    std::fs::write(&list, fewer.join("\n")).unwrap();
    let text = fail(two(&place.train("run", &[]), &moved("scored")));
    assert!(text.contains("rank 1 has another validation set or other masks than rank 0"), "{text}");
    let kernels = place.path("kernels.toml");
    std::fs::write(&kernels, KernelTable::write("software", &Kernels::GRAPHICS, |_| None).unwrap()).unwrap();
    let chosen = [place.train("run", &[]), vec!["--kernels".into(), kernels.display().to_string()]].concat();
    let text = fail(two(&place.train("run", &[]), &chosen));
    assert!(text.contains("rank 1 has other kernels than rank 0"), "{text}");
    for (count, setting, reason) in [
        (3, "seed=1", "3 ranks do not divide 4 images"),
        (4, "loss.replica_size=2", "give 1 or 2, or change"),
        (2, "batch.ranks=4", "is 4, but there are 2 processes"),
        (2, "batch.micro=4", "does not split the images of a rank"),
    ] {
        let text = fail(ranks(count, &place.train("run", &[setting])));
        let errors: Vec<_> = text.lines().filter(|line| line.contains("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(reason), "{errors:?} in {text}");
    }
    assert!(!place.path("run").join("metrics.jsonl").exists(), "nothing was written");
    let listed = [place.train("run", &[]), vec!["--device".into(), "0,0".into()]].concat();
    let text = fail(ranks(4, &listed));
    assert!(text.contains("lists 2 devices for 4 processes"), "{text}");
    let [run, data] = ["run", "data"].map(|name| place.path(name).display().to_string());
    let eval = ["eval".to_owned(), run, "--data".into(), data];
    let text = fail(ranks(2, &eval));
    assert!(text.contains("only `tagseg train` divides its work"), "{text}");
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
}

/// Protects: a rank that hangs without ending, as a stopped process does, ends the run soon after `train.rank_timeout`, by
/// one error that names it; nothing is left running, and the run can be resumed with another limit.
#[test]
fn a_rank_that_hangs_ends_the_run_which_names_it() {
    let place = Place::of_all();
    let long = ["train.rank_timeout=3", "train.iters=500", "train.eval_every=500", "train.save_every=1"];
    for hung in [0, 1] {
        let name = format!("hung_{hung}");
        let job = ranks(2, &place.train(&name, &long)).stderr(Stdio::piped()).spawn().unwrap();
        let run = place.path(&name);
        wait_for(&run, 2);
        let own = processes(&run.display().to_string());
        assert_eq!(own.len(), 2);
        let of_rank = |rank: usize| *own.iter().find(|number| rank_of(**number) == rank).unwrap();
        signal(of_rank(hung), "-STOP");
        let begun = Instant::now();
        let output = job.wait_with_output().unwrap();
        let (took, text) = (begun.elapsed(), String::from_utf8_lossy(&output.stderr).into_owned());
        println!("rank {hung} stopped: {took:?}, {}", text.lines().find(|line| line.contains("error: ")).unwrap_or(""));
        wait_for_the_end(&run, begun, 3 + 6);
        assert!(!output.status.success() && took < Duration::from_secs(3 + 6), "{took:?}: {text}");
        let other = 1 - hung;
        assert_eq!(
            text.matches(&format!("error: rank {other} has waited 3 s for rank {hung} on ")).count(),
            1,
            "{text}"
        );
        assert_eq!(text.matches("error: ").count(), 1, "{text}");
    }
    let mut resumed = place.resume("hung_0");
    resumed.extend(["--set", "train.rank_timeout=0"].map(String::from));
    let mut job = ranks(2, &resumed).stderr(Stdio::piped()).spawn().unwrap();
    let run = place.path("hung_0");
    let saved = Checkpoints::of(&run).newest().unwrap().checkpoint.step;
    wait_for(&run, saved + 1);
    signal(processes(&run.display().to_string())[0], "-TERM");
    job.wait().unwrap();
    assert_eq!(Checkpoints::of(&run).newest().unwrap().checkpoint.config.train_rank_timeout, 0);
}

/// The rank of a process that `mpirun` started.
fn rank_of(number: u32) -> usize {
    let variables = std::fs::read(format!("/proc/{number}/environ")).unwrap();
    let variables = variables.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut rank = variables.filter_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].contains(&name).then(|| value.parse().unwrap())
    });
    rank.next().unwrap()
}
