//! Which adapter each process of a machine uses.

use std::collections::BTreeSet;

use super::choice::{DeviceChoice, list};
use super::device::{enumerate, find};
use crate::engine::ranks::World;
use crate::error::{Error, Result};

/// The choice of one of the processes on this machine: from a list of indices, `0,0,1`, its own entry; for `auto`, a
/// card of its own among the best ones, in the order of their PCI addresses. Software devices are shared; a card is
/// shared only if a list repeats it. Where a launcher shows each process another card, and no other one, that is its
/// own.
///
/// # Errors
/// [`Error::Device`] if there are more processes than entries or cards, or other ranks cannot be reached.
pub fn of_rank(choice: &DeviceChoice, world: &World) -> Result<DeviceChoice> {
    let adapters: Vec<_> = pollster::block_on(enumerate()).iter().map(wgpu::Adapter::get_info).collect();
    let wish = choice.wish();
    let shown = |card: usize| adapters[card].device_pci_bus_id.as_str();
    let only = find(&adapters, wish).map(|chosen| cards(wish, &adapters, chosen)).filter(|cards| cards.len() == 1);
    let all = world.gather(format!("{}\n{}", world.machine(), only.map_or("", |cards| shown(cards[0]))).as_bytes())?;
    let [rank, processes] = match has_its_own(&all, world.rank()) {
        true => [0, 1],
        false => [world.local_rank(), world.local_size()],
    };
    let own = adapter_of(wish, &adapters, rank, processes)?;
    Ok(own.map_or(choice.clone(), |adapter| DeviceChoice { adapter: Some(adapter), ..choice.clone() }))
}

/// Whether each process on the machine of `rank` sees one card, and each another. The messages of all ranks are the
/// names of their machines and the bus addresses of these cards.
fn has_its_own(all: &[Vec<u8>], rank: usize) -> bool {
    let split = |message: &Vec<u8>| message.rsplitn(2, |byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let all: Vec<_> = all.iter().map(split).collect();
    let here: Vec<_> = all.iter().filter(|other| other[1] == all[rank][1]).map(|other| &other[0]).collect();
    let several: BTreeSet<_> = here.iter().filter(|card| !card.is_empty()).collect();
    several.len() == here.len()
}

/// The cards that are dealt among processes that wish for `chosen`: none if it is a software device.
fn cards(wish: &str, adapters: &[wgpu::AdapterInfo], chosen: usize) -> Vec<usize> {
    let kind = adapters[chosen].device_type;
    if kind == wgpu::DeviceType::Cpu {
        return Vec::new();
    }
    let mut cards = match wish {
        "auto" => (0..adapters.len()).filter(|&index| adapters[index].device_type == kind).collect(),
        _ => vec![chosen],
    };
    cards.sort_by_key(|&index| (&adapters[index].device_pci_bus_id, index));
    // A card with two drivers or interfaces is listed twice.
    let bus = |index: &usize| &adapters[*index].device_pci_bus_id;
    cards.dedup_by(|one, other| bus(one) == bus(other) && !bus(one).is_empty());
    cards
}

/// The same, as a choice among `adapters`; nothing if there is none to be dealt, which is an error when it is opened.
fn adapter_of(
    wish: &str,
    adapters: &[wgpu::AdapterInfo],
    local_rank: usize,
    processes: usize,
) -> Result<Option<String>> {
    if let Some(list) = list(wish) {
        return match list.get(local_rank) {
            Some(entry) if processes <= list.len() => Ok(Some(entry.to_string())),
            _ => {
                let reason = format!("--device lists {} devices for {processes} processes on this machine", list.len());
                Err(Error::device(reason, "list one for each, several times the same if they share it"))
            }
        };
    }
    let Some(chosen) = find(adapters, wish) else { return Ok(None) };
    let cards = cards(wish, adapters, chosen);
    if cards.is_empty() {
        return Ok(Some(chosen.to_string()));
    }
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

    /// Protects: a card that two drivers list is one card, which goes to one process.
    #[test]
    fn a_card_with_two_drivers_is_one_card() {
        let machine =
            adapters(&[(DiscreteGpu, "0000:21:00.0"), (DiscreteGpu, "0000:81:00.0"), (DiscreteGpu, "0000:21:00.0")]);
        let own = |rank| adapter_of("auto", &machine, rank, 2).unwrap().unwrap();
        assert_eq!([own(0), own(1)], ["0", "1"]);
        assert!(adapter_of("auto", &machine, 2, 3).is_err());
        // Where the bus is unknown, each is taken for a card of its own.
        let machine = adapters(&[(DiscreteGpu, ""), (DiscreteGpu, "")]);
        assert_eq!(adapter_of("auto", &machine, 1, 2).unwrap().unwrap(), "1");
    }

    /// Protects: processes that are each shown one card take it, but only where these differ.
    #[test]
    fn a_card_shown_to_one_process_is_its_own() {
        let all = |messages: &[&str]| messages.iter().map(|message| message.as_bytes().to_vec()).collect::<Vec<_>>();
        let shown = all(&["a\n0000:21:00.0", "a\n0000:81:00.0", "b\n0000:21:00.0", "b\n0000:21:00.0", "c\n", "c\n"]);
        assert_eq!(
            (0..6).map(|rank| has_its_own(&shown, rank)).collect::<Vec<_>>(),
            [true, true, false, false, false, false]
        );
    }

    /// Protects: processes get cards of their own, in the order of the bus, whatever else the machine has; more
    /// processes than cards are refused, unless they share a software device or a list says so.
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
