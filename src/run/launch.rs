//! Joins the processes that a launcher of MPI started, as the command line does.

use std::time::Duration;

use crate::engine::ranks::World;
use crate::error::{Error, Result};

/// Launchers, and the variables in which they tell a process how many there are and which one it is: Open MPI's, that of
/// MPICH and its relatives, and SLURM's.
const LAUNCHERS: [(&str, &str, &str); 3] = [
    ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpirun", "PMI_SIZE", "PMI_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];

/// Time for the first rank to say what all of them find, and to abort the others.
pub const FIRST_SPEAKS: Duration = Duration::from_secs(1);

/// A process that a launcher started as one of several.
struct Started {
    launcher: &'static str,
    size: usize,
    rank: usize,
}

impl Started {
    /// This process, if it is one.
    fn find() -> Option<Self> {
        let number = |name: &str| std::env::var(name).ok()?.trim().parse().ok();
        let found = LAUNCHERS.iter().find_map(|&(launcher, size, rank)| {
            Some(Started { launcher, size: number(size)?, rank: number(rank).unwrap_or(0) })
        });
        found.filter(|found| found.size > 1)
    }

    /// The error of processes that cannot go on.
    fn refused(&self, reason: &str, remedy: &str) -> Error {
        Error::Launcher {
            rank: self.rank,
            reason: format!("{} started {} processes, but {reason}", self.launcher, self.size),
            remedy: remedy.to_owned(),
        }
    }
}

/// Refuses to run what one process does in each of several, which would write the same files.
///
/// # Errors
/// [`Error::Launcher`] if a launcher started several processes.
pub fn alone() -> Result<()> {
    let reason = "only `tagseg train` divides its work among them";
    Started::find().map_or(Ok(()), |found| Err(found.refused(reason, "start this command without a launcher")))
}

/// The ranks that a launcher started; this process alone if there was none.
///
/// # Errors
/// [`Error::Launcher`] if there are several and this program was built without MPI, or MPI does not find them.
pub fn join() -> Result<World> {
    Started::find().map_or_else(|| Ok(World::default()), |found| joined(&found))
}

#[cfg(feature = "mpi")]
fn joined(found: &Started) -> Result<World> {
    let world = World::new(crate::engine::ranks::Mpi::join()?);
    if world.size() == found.size {
        return Ok(world);
    }
    let remedy = "use the launcher of the MPI that this program was built with (`srun --mpi=list`)";
    Err(found.refused(&format!("MPI finds {}", world.size()), remedy))
}

#[cfg(not(feature = "mpi"))]
fn joined(found: &Started) -> Result<World> {
    let remedy = "build it with `cargo build --release --features mpi`, or start one process";
    Err(found.refused("this program was built without MPI", remedy))
}
