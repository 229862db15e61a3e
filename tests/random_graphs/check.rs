//! Runs a program on a device and on the interpreter and compares what both give.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tagseg::engine::gpu::{DeviceChoice, Plan};
use tagseg::engine::graph::{DType, Tensor};
use tagseg::engine::kernel::{Class, KernelTable, Kernels, Pace, Target};
use tagseg::{Error, Result, Session};

use super::exact::{self, Known};
use super::generate::message;
use super::program::Program;
use super::random::mix;
use super::record::{Noise, Recorder};

/// Runs of a session.
const RUNS: usize = 3;

/// Where programs run.
pub struct Devices {
    device: Session,
    targets: Vec<Target>,
}

/// What a comparison found.
#[derive(Default, Debug)]
pub struct Compared {
    /// Values that were compared.
    pub values: usize,
    /// Those that were compared to the last bit.
    pub exact: usize,
    /// Those that may differ by more than a hundredth of their largest element, since rounding decides what they are.
    pub loose: usize,
    /// Programs that took less memory than without a limit.
    pub limited: usize,
    /// Values with infinities or NaN.
    pub infinite: usize,
}

/// What a program gives: a name, whether it is exact, and elements, in the order of reading.
type Given = Vec<(String, bool, Vec<f64>)>;

impl Devices {
    pub fn open() -> Self {
        // With the features of all kernels, where the adapter has them.
        let kernels = KernelTable::of("", Kernels::COOPERATIVE);
        let device = tagseg::run::device::open(DeviceChoice::default().kernels(kernels)).unwrap();
        let mut targets = vec![Target::software(), Target::graphics(), Target::from(Kernels::SHARED)];
        targets.extend(Target::graphics().every().unwrap());
        // On slow devices every kernel is cut into several dispatches.
        let pace = Pace { operations: 100_000, bytes: 100_000 };
        targets.extend([Target::software(), Target::graphics()].map(|target| Target { pace, ..target }));
        // A driver may round halves in another way than the interpreter.
        let card = tagseg::run::device::open(DeviceChoice::default().class(Class::Gpu)).unwrap();
        let exact = card.target().is_some_and(|target| target.builtin_halves);
        targets.iter_mut().for_each(|target| target.builtin_halves &= exact);
        Devices { device, targets }
    }

    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// The names of the kernels that a program is planned with.
    ///
    /// # Errors
    /// If it cannot be recorded or planned.
    pub fn kernels(&self, program: &Program) -> Result<Vec<&'static str>> {
        let known = known(program)?;
        let recorder = Recorder::of(program, None, &|number| known.get(&number).is_some_and(Known::is_exact))?;
        let plans = self.plans(program, &recorder)?;
        let launches = plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.launches.list);
        Ok(launches.map(|launch| launch.shader.name).collect())
    }

    /// Compares the two engines on a program.
    ///
    /// # Errors
    /// What differs, fails or panics.
    pub fn check(&self, program: &Program) -> std::result::Result<Compared, String> {
        let checked = catch_unwind(AssertUnwindSafe(|| self.compare(program)));
        checked.unwrap_or_else(|panic| Err(format!("panics: {}", message(&*panic))))
    }

    fn compare(&self, program: &Program) -> std::result::Result<Compared, String> {
        let known = known(program).map_err(|error| format!("is refused: {error}"))?;
        let exact = |number: usize| known.get(&number).is_some_and(Known::is_exact);
        let failed = |who: &'static str| move |error: Error| format!("fails on {who}: {error}");
        let reference = || Session::open("reference");
        let want = run(program, &exact, None, None, reference()).map_err(failed("the interpreter"))?;
        let limit = self.limit(program, &exact).map_err(failed("the device"))?;
        let target = self.targets[program.target % self.targets.len()];
        let session = self.device.fresh().aimed_at(target);
        let got = run(program, &exact, None, limit, Ok(session)).map_err(failed("the device"))?;
        let mut compared = Compared { limited: usize::from(limit.is_some()), ..Compared::default() };
        let noisy = |seed: u64| run(program, &exact, Some(Noise { seed }), None, reference());
        let half = program.lines.iter().any(|line| line.half);
        let mut noise: Vec<Given> = vec![noisy(1).map_err(failed("the interpreter"))?];
        for (index, ((name, exact, got), (_, _, want))) in got.iter().zip(&want).enumerate() {
            if got.len() != want.len() {
                return Err(format!("{name} has {} elements on the device, {} elsewhere", got.len(), want.len()));
            }
            if want.iter().any(|want| !want.is_finite() || want.abs() > 1e30) {
                compared.infinite += 1;
                continue;
            }
            compared.values += 1;
            let worst = worst(got, want);
            let largest = want.iter().fold(0.0, |largest: f64, want| largest.max(want.abs()));
            if *exact {
                compared.exact += 1;
                // Constants are those of f64 on the interpreter.
                let single = |want: &f64| if want.fract() == 0.0 { *want } else { f64::from(*want as f32) };
                let worst = self::worst(got, &want.iter().map(single).collect::<Vec<_>>());
                if worst > 0.0 {
                    return Err(format!("{name} is exact, and off by {worst:e}: {}", shown(got, want)));
                }
                continue;
            }
            // What rounding may do to it is measured on the interpreter, more often where that seems to be little.
            let share = if half { 4e-3 } else { 2e-5 };
            let allowed = |noise: &[Given]| {
                let moved = noise.iter().map(|noise| self::worst(&noise[index].2, want));
                share * largest + 1e-6 + 8.0 * moved.fold(0.0, f64::max)
            };
            while worst > allowed(&noise) && noise.len() < 12 {
                noise.push(noisy(1 + noise.len() as u64).map_err(failed("the interpreter"))?);
            }
            let most = allowed(&noise);
            if worst > most {
                let shown = shown(got, want);
                return Err(format!("{name} is off by {worst:e} where {most:e} is rounding: {shown}"));
            }
            let (mean, most) = (root_mean_square(got, want), allowed(&noise) / 2.0);
            if mean > most && got.len() > 16 {
                return Err(format!("{name} is off by {mean:e} in the mean square, {most:e} is rounding"));
            }
            compared.loose += usize::from(most > 0.01 * largest.max(1e-3));
        }
        Ok(compared)
    }

    /// The bytes that a program may take: its share of what its largest plan takes, or the next larger share for which
    /// there are plans.
    fn limit(&self, program: &Program, exact: &dyn Fn(usize) -> bool) -> Result<Option<u64>> {
        let Some(percent) = program.limit else { return Ok(None) };
        let recorder = Recorder::of(program, None, exact)?;
        let bytes = self.plans(program, &recorder)?.iter().map(Plan::bytes).max().unwrap_or(0);
        for more in [1, 2, 4, 8, 64] {
            let limit = bytes - (bytes * (100 - percent) / 100 / more).max(1).min(bytes);
            recorder.graph.limit_memory(limit);
            match self.plans(program, &recorder) {
                Err(Error::Memory { .. }) => {}
                planned => return planned.map(|_| Some(limit)),
            }
        }
        Ok(None)
    }

    fn plans(&self, program: &Program, recorder: &Recorder) -> Result<Vec<Plan>> {
        let session = self.device.fresh().aimed_at(self.targets[program.target % self.targets.len()]);
        let plan = |reads: &Vec<usize>| {
            let outputs = reads.iter().map(|&number| recorder.tensor(number)).collect::<Result<Vec<_>>>()?;
            session.plan(&recorder.graph, &outputs)
        };
        program.reads.iter().filter_map(|reads| plan(reads).transpose()).collect()
    }
}

/// What is known of every tensor of a program.
fn known(program: &Program) -> Result<HashMap<usize, Known>> {
    let mut recorder = Recorder::new(program.seed, None);
    let mut known: HashMap<usize, Known> = HashMap::new();
    for line in &program.lines {
        recorder.line(line, &|number| known.get(&number).is_some_and(Known::is_exact))?;
        for &number in &line.gives {
            let tensor = recorder.tensor(number)?;
            let takes: Vec<_> = line.takes.iter().map(|taken| &known[taken]).collect();
            let shape = tensor.shape().to_vec();
            let (bound, mut unit) = exact::of(line, &takes, &shape);
            // Arithmetic of integers is exact as long as they are no larger than those of f32.
            if tensor.dtype() == DType::I32 {
                unit = Some(unit.unwrap_or(0));
            }
            let is_real = tensor.dtype() == DType::F32;
            known.insert(
                number,
                Known { shape, is_real, is_state: false, is_source: false, is_value: true, bound, unit },
            );
        }
    }
    Ok(known)
}

/// Runs a program three times.
fn run(
    program: &Program,
    exact: &dyn Fn(usize) -> bool,
    noise: Option<Noise>,
    limit: Option<u64>,
    session: Result<Session>,
) -> Result<Given> {
    let mut session = session?;
    let recorder = Recorder::of(program, noise, exact)?;
    if let Some(limit) = limit {
        recorder.graph.limit_memory(limit);
    }
    for state in recorder.states.iter().filter(|state| state.bound < i64::MAX) {
        let values = state.fill.values(0, mix(program.seed ^ state.number as u64), state.tensor.shape().len());
        let values: Vec<_> = values.into_iter().map(|value| value as f32).collect();
        session.set_state(&format!("s{}", state.number), state.tensor.shape(), &values)?;
    }
    let mut compiled = Vec::new();
    for reads in &program.reads {
        let outputs = reads.iter().map(|&number| recorder.tensor(number)).collect::<Result<Vec<&Tensor>>>()?;
        compiled.push(session.compile(&recorder.graph, &outputs)?);
    }
    let mut given = Vec::new();
    for run in 0..RUNS {
        for (part, (program_of, reads)) in compiled.iter_mut().zip(&program.reads).enumerate() {
            for input in &recorder.inputs {
                let seed = mix(program.seed ^ (input.number + 1000 * run) as u64);
                let values = input.fill.values(input.bound, seed, input.tensor.shape().len());
                // Those of f32, which both engines have.
                match input.fill.is_real() {
                    true => program_of.write(&input.tensor, &values.iter().map(|&x| x as f32).collect::<Vec<_>>())?,
                    false => program_of.write(&input.tensor, &values)?,
                }
            }
            for optimiser in &recorder.optimisers {
                optimiser.write(program_of, run + 1)?;
            }
            program_of.run()?;
            for &number in reads {
                let values = program_of.read(recorder.tensor(number)?)?;
                given.push((format!("%{number} in run {run} of program {part}"), exact(number), values));
            }
        }
        let states: BTreeMap<_, _> =
            recorder.states.iter().map(|state| (format!("s{}", state.number), state)).collect();
        for name in session.state_names() {
            let exact = states.get(&name).is_some_and(|state| exact(state.number));
            given.push((format!("state {name} after run {run}"), exact, session.state(&name)?.1));
        }
    }
    Ok(given)
}

/// The largest difference between elements; infinite where one is no number.
fn worst(got: &[f64], want: &[f64]) -> f64 {
    let differences = got.iter().zip(want).map(|(got, want)| (got - want).abs());
    differences.fold(0.0, |worst: f64, next| if next.is_nan() { f64::INFINITY } else { worst.max(next) })
}

fn root_mean_square(got: &[f64], want: &[f64]) -> f64 {
    let sum: f64 = got.iter().zip(want).map(|(got, want)| (got - want).powi(2)).sum();
    (sum / got.len().max(1) as f64).sqrt()
}

/// The first elements that differ.
fn shown(got: &[f64], want: &[f64]) -> String {
    let differ = got.iter().zip(want).enumerate().filter(|(_, (got, want))| got != want).take(3);
    let differ: Vec<_> = differ.map(|(at, (got, want))| format!("[{at}] is {got} for {want}")).collect();
    format!("{} of {} elements", differ.join(", "), got.len())
}
