//! Joins the processes that a launcher of MPI started, as the command line does.

use crate::engine::ranks::World;
use crate::error::{Error, Result};

/// Variables in which launchers tell a process how many there are: those of Open MPI, of MPICH and its relatives, and of
/// SLURM's `srun`.
const SIZES: [(&str, &str); 3] =
    [("OMPI_COMM_WORLD_SIZE", "mpirun"), ("PMI_SIZE", "mpirun"), ("SLURM_STEP_NUM_TASKS", "srun")];

/// The launcher that started this process as one of several, and their number.
pub fn launcher() -> Option<(&'static str, usize)> {
    let found = SIZES.iter().find_map(|(name, launcher)| {
        let size = std::env::var(name).ok()?.trim().parse().ok()?;
        Some((*launcher, size))
    });
    found.filter(|(_, size)| *size > 1)
}

/// Refuses to run what one process does in each of several, which would write the same files.
///
/// # Errors
/// [`Error::Device`] if a launcher started several processes.
pub fn alone() -> Result<()> {
    let Some((launcher, size)) = launcher() else { return Ok(()) };
    let reason = format!("{launcher} started {size} processes, but only `tagseg train` divides its work among them");
    Err(Error::device(reason, "start this command without a launcher"))
}

/// The ranks that a launcher started; this process alone if there was none.
///
/// # Errors
/// [`Error::Device`] if there are several and this program was built without MPI, or MPI does not find them.
pub fn join() -> Result<World> {
    let Some((launcher, size)) = launcher() else { return Ok(World::default()) };
    joined(launcher, size)
}

#[cfg(feature = "mpi")]
fn joined(launcher: &str, size: usize) -> Result<World> {
    let world = World::new(crate::engine::ranks::Mpi::join()?);
    if world.size() == size {
        return Ok(world);
    }
    let reason = format!("{launcher} started {size} processes, but MPI finds {}", world.size());
    Err(Error::device(reason, "use the launcher of the MPI that this program was built with (`srun --mpi=list`)"))
}

#[cfg(not(feature = "mpi"))]
fn joined(launcher: &str, size: usize) -> Result<World> {
    let reason = format!("{launcher} started {size} processes, but this program was built without MPI");
    Err(Error::device(reason, "build it with `cargo build --release --features mpi`, or start one process"))
}
