// Functions that WGSL lacks, on V = f32 or vec4<f32>.

// Both logistic forms exponentiate a non-positive number only, so that nothing overflows.
fn sigmoid(x: V) -> V {
    let e = exp(-abs(x));
    return select(e, V(1.0), x >= V(0.0)) / (1.0 + e);
}

// log(1 + e) for e in [0, 1], as 2·atanh(e / (2 + e)): accurate also where 1 + e rounds to 1.
fn log_one_plus(e: V) -> V {
    let z = e / (2.0 + e);
    let z2 = z * z;
    var s = V(0.076923077);
    s = s * z2 + 0.090909091;
    s = s * z2 + 0.11111111;
    s = s * z2 + 0.14285714;
    s = s * z2 + 0.2;
    s = s * z2 + 0.33333333;
    return 2.0 * z * (s * z2 + 1.0);
}

fn log_sigmoid(x: V) -> V {
    return min(x, V(0.0)) - log_one_plus(exp(-abs(x)));
}

// Complementary error function; a rational Chebyshev fit with relative error below 1.2e-7 everywhere
// (Press et al., Numerical Recipes, section 6.2).
fn erfc(x: V) -> V {
    let z = abs(x);
    let t = 1.0 / (1.0 + 0.5 * z);
    var s = V(0.17087277);
    s = s * t - 0.82215223;
    s = s * t + 1.48851587;
    s = s * t - 1.13520398;
    s = s * t + 0.27886807;
    s = s * t - 0.18628806;
    s = s * t + 0.09678418;
    s = s * t + 0.37409196;
    s = s * t + 1.00002368;
    s = s * t - 1.26551223;
    let tail = t * exp(s - z * z);
    return select(2.0 - tail, tail, x >= V(0.0));
}

fn gelu(x: V) -> V {
    return 0.5 * x * erfc(-0.70710678 * x);
}

fn gelu_slope(x: V) -> V {
    return 0.5 * erfc(-0.70710678 * x) + 0.39894228 * x * exp(-0.5 * x * x);
}
