//! Which adapter each process of a machine uses.

use super::choice::DeviceChoice;
use super::device::{enumerate, find};
use crate::error::{Error, Result};

/// The choice of one of the processes on this machine: from a list of indices, `0,0,1`, its own entry; for `auto`, a card
/// of its own among the best ones, in the order of their PCI addresses. Software devices are shared; a card is shared only
/// if a list repeats it.
///
/// # Errors
/// [`Error::Device`] if there are more processes than entries or cards.
pub fn of_rank(choice: &DeviceChoice, local_rank: usize, processes: usize) -> Result<DeviceChoice> {
    let adapters: Vec<_> = pollster::block_on(enumerate()).iter().map(wgpu::Adapter::get_info).collect();
    let own = adapter_of(choice.wish(), &adapters, local_rank, processes)?;
    Ok(own.map_or(choice.clone(), |adapter| DeviceChoice { adapter: Some(adapter), ..choice.clone() }))
}

/// The same, as a choice among `adapters`; nothing if there is none to be dealt, which is an error when it is opened.
fn adapter_of(
    wish: &str,
    adapters: &[wgpu::AdapterInfo],
    local_rank: usize,
    processes: usize,
) -> Result<Option<String>> {
    let list: Vec<_> = wish.split(',').map(str::trim).collect();
    if list.len() > 1 && list.iter().all(|entry| entry.parse::<usize>().is_ok()) {
        return match list.get(local_rank) {
            Some(entry) if processes <= list.len() => Ok(Some((*entry).to_owned())),
            _ => {
                let reason = format!("--device lists {} devices for {processes} processes on this machine", list.len());
                Err(Error::device(reason, "list one for each, several times the same if they share it"))
            }
        };
    }
    let Some(chosen) = find(adapters, wish) else { return Ok(None) };
    let kind = adapters[chosen].device_type;
    if kind == wgpu::DeviceType::Cpu {
        return Ok(Some(chosen.to_string()));
    }
    let mut cards = match wish {
        "auto" => (0..adapters.len()).filter(|&index| adapters[index].device_type == kind).collect(),
        _ => vec![chosen],
    };
    cards.sort_by_key(|&index| (&adapters[index].device_pci_bus_id, index));
    match cards.get(local_rank) {
        Some(card) if processes <= cards.len() => Ok(Some(card.to_string())),
        _ => {
            let reason = match cards.len() {
                1 => format!("{processes} processes on this machine have one card, {}", adapters[cards[0]].name),
                several => format!("{processes} processes on this machine have {several} cards"),
            };
            let shared = vec![cards[0].to_string(); 2].join(",");
            Err(Error::device(
                reason,
                format!("start one for each card, or let them share by a list: --device {shared}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};

    use super::*;

    fn adapters(given: &[(wgpu::DeviceType, &str)]) -> Vec<wgpu::AdapterInfo> {
        let adapter = |(index, (kind, bus)): (usize, &(wgpu::DeviceType, &str))| {
            let mut info = wgpu::AdapterInfo::new(*kind, wgpu::Backend::Vulkan);
            (info.name, info.device_pci_bus_id) = (format!("card {index}"), (*bus).to_owned());
            info
        };
        given.iter().enumerate().map(adapter).collect()
    }

    /// Protects: processes get cards of their own, in the order of the bus, whatever else the machine has; more processes
    /// than cards are refused, unless they share a software device or a list says so.
    #[test]
    fn each_process_gets_a_card_or_is_refused() {
        let machine = adapters(&[
            (Cpu, ""),
            (DiscreteGpu, "0000:81:00.0"),
            (IntegratedGpu, "0000:00:02.0"),
            (DiscreteGpu, "0000:21:00.0"),
        ]);
        let dealt = |wish: &str, processes: usize| {
            let each = (0..processes).map(|rank| adapter_of(wish, &machine, rank, processes));
            each.map(|own| Ok(own?.unwrap())).collect::<Result<Vec<_>>>().map_err(|error| error.to_string())
        };
        let given = |wish: &str, processes| dealt(wish, processes).unwrap();
        assert_eq!(given("auto", 1), ["3"]);
        assert_eq!(given("auto", 2), ["3", "1"]);
        assert_eq!(given("1, 3", 2), ["1", "3"]);
        assert_eq!(given("3,3,1", 3), ["3", "3", "1"]);
        assert_eq!(given("0", 3), ["0", "0", "0"]);
        assert_eq!(given("CARD 2", 1), ["2"]);
        let refused = |wish, processes| dealt(wish, processes).unwrap_err();
        assert!(refused("auto", 3).contains("3 processes on this machine have 2 cards; start one for each"));
        assert!(refused("1", 2).contains("2 processes on this machine have one card, card 1"));
        assert!(refused("1", 2).contains("--device 1,1"));
        assert!(refused("1,3", 3).contains("lists 2 devices for 3 processes"));
        assert_eq!(adapter_of("auto", &[], 0, 2).unwrap(), None);
        assert_eq!(adapter_of("reference", &machine, 1, 2).unwrap(), None);
    }
}
