//! A line chart in SVG. Two axes and a few lines need no library.

use std::fmt::Write as _;

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// An axis.
#[derive(Debug)]
pub(super) struct Axis {
    label: &'static str,
    scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Begins at 0.
    Linear,
    /// Begins and ends at a power of ten.
    Log,
}

/// A line and its name in the legend.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    pub(super) points: Vec<(f64, f64)>,
    has_marks: bool,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// The margins around the plot: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (72.0, 96.0, 40.0, 52.0);
/// Colors that color-blind readers can tell apart (Okabe and Ito).
const COLORS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

impl Axis {
    pub(super) fn new(label: &'static str, scale: Scale) -> Self {
        Self { label, scale }
    }
}

impl Line {
    pub(super) fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), points, has_marks: true }
    }

    /// Draws no marks at the points; for lines with many points.
    pub(super) fn without_marks(self) -> Self {
        Self { has_marks: false, ..self }
    }
}

/// The range and the ticks of an axis.
struct Span {
    scale: Scale,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Span {
    fn covering(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(*value), b.max(*value)));
        match scale {
            Scale::Linear => {
                let step = tick_distance(most.max(f64::MIN_POSITIVE));
                let count = (most / step).ceil().max(1.0);
                let ticks = (0..=count as u32).map(|tick| f64::from(tick) * step).collect();
                Self { scale, from: 0.0, to: count * step, ticks }
            }
            Scale::Log => {
                let from = least.max(1e-3).log10().floor();
                let to = most.max(1e-3).log10().ceil().max(from + 1.0);
                let ticks = (from as i32..=to as i32).map(|power| 10f64.powi(power)).collect();
                Self { scale, from, to, ticks }
            }
        }
    }

    /// Returns the position of the value on the axis, where 0 is the start and 1 the end.
    fn place(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Log { value.max(1e-3).log10() } else { value };
        (value - self.from) / (self.to - self.from)
    }
}

/// Returns a round tick distance, of which at most five reach `most`.
fn tick_distance(most: f64) -> f64 {
    let power = 10f64.powf((most / 5.0).log10().floor());
    let fits = |step: &&f64| **step * power * 5.0 >= most;
    [1.0, 2.0, 5.0, 10.0].iter().find(fits).copied().unwrap_or(10.0) * power
}

impl Chart {
    /// Returns the SVG document.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Span::covering(self.x.scale, points().map(|point| point.0));
        let y = Span::covering(self.y.scale, points().map(|point| point.1));
        let (left, right, top, bottom) = (MARGINS.0, WIDTH - MARGINS.1, MARGINS.2, HEIGHT - MARGINS.3);
        let at_x = |value: f64| left + x.place(value) * (right - left);
        let at_y = |value: f64| bottom - y.place(value) * (bottom - top);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{left}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
            escape(&self.title)
        );
        // Writing to a String does not fail.
        for tick in &y.ticks {
            let (at, label) = (at_y(*tick), label(*tick));
            let _ = writeln!(svg, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/>");
            let _ =
                writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", left - 8.0, at + 4.0);
        }
        for tick in &x.ticks {
            let (at, label) = (at_x(*tick), label(*tick));
            let _ = writeln!(svg, "<path d=\"M{at:.1} {bottom}v5\" stroke=\"#333\"/>");
            let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 18.0);
        }
        let _ = writeln!(svg, "<path d=\"M{left} {top}V{bottom}H{right}\" stroke=\"#333\" fill=\"none\"/>");
        let (middle, below) = ((left + right) / 2.0, HEIGHT - 12.0);
        let _ =
            writeln!(svg, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{}</text>", escape(self.x.label));
        let middle = (top + bottom) / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escape(self.y.label)
        );
        for (index, line) in self.lines.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            let path: Vec<String> =
                line.points.iter().map(|(x, y)| format!("{:.1} {:.1}", at_x(*x), at_y(*y))).collect();
            let path = path.join("L");
            let _ = writeln!(svg, "<path d=\"M{path}\" stroke=\"{color}\" stroke-width=\"2\" fill=\"none\"/>");
            for (x, y) in line.points.iter().filter(|_| line.has_marks) {
                let (x, y, shown) = (at_x(*x), at_y(*y), label(*y));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"><title>{shown}</title></circle>"
                );
            }
            let legend = top + 8.0 + 18.0 * index as f64;
            let name = escape(&line.name);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{legend}\" fill=\"{color}\">{name}</text>", right + 10.0);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Formats a value in a short form: `50`, `2.5k`, `5M`.
fn label(value: f64) -> String {
    let short = |value: f64| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value {
        value if value >= 1e6 => format!("{}M", short(value / 1e6)),
        value if value >= 1e4 => format!("{}k", short(value / 1e3)),
        value if value >= 1e3 => format!("{value:.0}"),
        value => short(value),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_zero_and_has_round_ticks() {
        let span = Span::covering(Scale::Linear, [137.0, 820.0].into_iter());
        assert_eq!(span.ticks, [0.0, 200.0, 400.0, 600.0, 800.0, 1_000.0]);
        assert_eq!((span.place(0.0), span.place(1_000.0)), (0.0, 1.0));
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten() {
        let span = Span::covering(Scale::Log, [12.0, 4_000.0].into_iter());
        assert_eq!(span.ticks, [10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((span.place(100.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_chart_shows_every_point_and_name() {
        let chart = Chart {
            title: "a < b".to_owned(),
            x: Axis::new("x", Scale::Log),
            y: Axis::new("y", Scale::Linear),
            lines: vec![Line::new("first", vec![(1.0, 2.0), (10.0, 4.0)]), Line::new("second", vec![(1.0, 3.0)])],
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &lt; b") && svg.contains(">first<") && svg.contains(">second<"));
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.5, 50.0, 2_500.0, 10_000.0, 5e6].map(label), ["0.5", "50", "2500", "10k", "5M"]);
    }
}
