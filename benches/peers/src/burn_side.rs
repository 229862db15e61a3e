//! The work in burn: products only.

use std::sync::OnceLock;

use burn_tensor::wgpu::WgpuOptions;
use burn_tensor::{Device, Tensor, TensorData};

use crate::work::{Engine, Values, Work};

struct Product {
    adapter: &'static str,
    operands: [Tensor<2>; 2],
    result: Option<Tensor<2>>,
}

/// The device that all work shares, and its adapter's name.
fn device() -> &'static (Device, String) {
    static DEVICE: OnceLock<(Device, String)> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let (device, setup) = WgpuOptions::default().init_with_setup().expect("burn finds an adapter");
        (device, setup.adapter.get_info().name)
    })
}

/// Uploads the operands of a product. The first run times kernels and chooses among them.
pub fn engine(work: Work) -> Option<Box<dyn Engine>> {
    let Work::MatMul(_) = work else { return None };
    let (device, adapter) = device();
    let operand = |index: usize| {
        let Values { shape, values, .. } = work.operands().swap_remove(index);
        Tensor::from_data(TensorData::new(values, shape), device)
    };
    Some(Box::new(Product { adapter, operands: [operand(0), operand(1)], result: None }))
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("burn computes in f32")
}

impl Engine for Product {
    fn adapter(&self) -> &str {
        self.adapter
    }

    fn run(&mut self) -> f32 {
        let [a, b] = self.operands.clone();
        let result = a.matmul(b);
        let corner = result.clone().slice([0..1, 0..1]);
        self.result = Some(result);
        values(corner)[0]
    }

    fn results(&mut self) -> Vec<Vec<f32>> {
        self.result.clone().into_iter().map(values).collect()
    }
}
