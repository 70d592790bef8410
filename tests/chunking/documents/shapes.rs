//! 平面图形的面积与周长。
use std::collections::HashMap;
use std::f64::consts::PI;

/// What has an area.
pub trait Shape {
    fn area(&self) -> f64;
    fn perimeter(&self) -> f64;
}

/// 圆
#[derive(Debug, Clone)]
pub struct Circle {
    pub radius: f64,
}

impl Shape for Circle {
    /// 面积：πr²
    fn area(&self) -> f64 {
        PI * self.radius * self.radius
    }

    fn perimeter(&self) -> f64 {
        2.0 * PI * self.radius
    }
}

#[must_use]
pub fn total(shapes: &[Box<dyn Shape>]) -> f64 {
    shapes.iter().map(|s| s.area()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle() {
        assert!((Circle { radius: 1.0 }.area() - PI).abs() < 1e-9);
        let _unused: HashMap<&str, f64> = HashMap::new();
    }
}
