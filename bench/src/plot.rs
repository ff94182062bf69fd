//! The plot: files a second by connections, one colour for each round trip, the bounds as lines.
//!
//! SVG by hand: a style sheet inside makes one file readable on light and on dark pages, which
//! plotting libraries do not offer.

use std::fmt::Write as _;

use crate::table::{Against, Line};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;
const MOST_CONNECTIONS: f64 = 16.0;
const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #333 }
.axis { stroke: #888 } .grid { stroke: #8884 } .bound { fill: none; stroke-dasharray: 5 4 }
.a { stroke: #0969da; fill: #0969da } .b { stroke: #bc4c00; fill: #bc4c00 } .r { stroke: #777; fill: #777 }
text.a, text.b, text.r { stroke: none } line.a, line.b, line.r { stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd }
.a { stroke: #58a6ff; fill: #58a6ff } .b { stroke: #f0883e; fill: #f0883e } .r { stroke: #aaa; fill: #aaa }
}
";

/// Draws the first pulls among the lines that have a round trip.
pub(crate) fn draw(lines: &[Line]) -> String {
    let (mut pulls, mut rivals) = (Vec::new(), Vec::new());
    for line in lines {
        let Some(point) = line.point.filter(|point| point.round_trip_ms > 0) else {
            continue;
        };
        let series = (point.round_trip_ms, point.connections as f64);
        match line.against {
            Against::Bound => pulls.extend(line.measured.map(|rate| (series, rate))),
            Against::Rival => rivals.extend(line.bound.map(|rate| (series, rate))),
        }
    }
    let mut trips: Vec<u64> = pulls.iter().map(|((trip, _), _)| *trip).collect();
    trips.sort_unstable();
    trips.dedup();
    let shortest = trips.first().copied().unwrap_or(30) as f64;
    let top = MOST_CONNECTIONS * 1e3 / shortest * 1.05;
    let x = |connections: f64| LEFT + (WIDTH - LEFT - RIGHT) * connections / MOST_CONNECTIONS;
    let y = |rate: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / top;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Files a second by connections, beside the bound and the official client\">\
         <style>{STYLE}</style>\n"
    );
    text(
        &mut svg,
        "",
        (LEFT, 20.0),
        "First pull of notes of 2 KB: files a second",
    );
    for step in 0..=5 {
        let rate = (top / 5.0 / 10.0).floor() * 10.0 * f64::from(step);
        line(
            &mut svg,
            "grid",
            (x(0.0), y(rate)),
            (x(MOST_CONNECTIONS), y(rate)),
        );
        text(
            &mut svg,
            "",
            (LEFT - 36.0, y(rate) + 4.0),
            &format!("{rate:.0}"),
        );
    }
    line(
        &mut svg,
        "axis",
        (x(0.0), y(0.0)),
        (x(MOST_CONNECTIONS), y(0.0)),
    );
    for connections in [1.0, 4.0, 8.0, 16.0] {
        text(
            &mut svg,
            "",
            (x(connections) - 4.0, y(0.0) + 18.0),
            &connections.to_string(),
        );
    }
    text(&mut svg, "", (x(6.5), y(0.0) + 38.0), "connections");

    for (trip, class) in trips.iter().zip(["a", "b"]) {
        let bound = MOST_CONNECTIONS * 1e3 / *trip as f64;
        let (from, to) = ((x(0.0), y(0.0)), (x(MOST_CONNECTIONS), y(bound)));
        line(&mut svg, &format!("bound {class}"), from, to);
        let beside = (x(MOST_CONNECTIONS) + 8.0, y(bound) + 4.0);
        text(&mut svg, class, beside, &format!("{trip} ms: bound"));
        text(&mut svg, class, (beside.0, beside.1 + 16.0), "● obsync");
        for ((_, connections), rate) in pulls.iter().filter(|((of, _), _)| of == trip) {
            let (x, y) = (x(*connections), y(*rate));
            let _ = writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            );
        }
    }
    if let Some((_, rate)) = rivals.iter().max_by(|(_, a), (_, b)| a.total_cmp(b)) {
        line(
            &mut svg,
            "r",
            (x(0.0), y(*rate)),
            (x(MOST_CONNECTIONS), y(*rate)),
        );
        let beside = (x(MOST_CONNECTIONS) + 8.0, y(*rate) + 4.0);
        text(
            &mut svg,
            "r",
            beside,
            &format!("official client: {rate:.0}"),
        );
    }
    svg + "</svg>\n"
}

fn line(svg: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    // Writing to a string can't fail.
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Point;

    #[test]
    fn each_pull_is_a_dot_and_the_best_of_the_rival_a_line() {
        let pull = |round_trip_ms, connections, against| Line {
            measured: Some(20.0),
            bound: Some(19.0),
            against,
            point: Some(Point {
                round_trip_ms,
                connections,
            }),
            ..Line::default()
        };
        let svg = draw(&[
            pull(0, 4, Against::Bound),
            pull(30, 1, Against::Bound),
            pull(30, 4, Against::Bound),
            pull(30, 4, Against::Rival),
            Line::default(),
        ]);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("official client: 19"), "{svg}");
    }
}
