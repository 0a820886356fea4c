import Lab
import Node

/// What `forwarder bench` answers; `bench/README.md` says how to read it.
struct BenchReport: Answer {
    struct Figure: Codable, Equatable {
        let median, low, high: Double
        /// In the order they were measured: the nth of each variant stem from the same round.
        let rounds: [Double]
        /// Processor time that the forwarder used per round, the median; the kernel as a variant has none.
        let cpuSeconds: Double?
    }

    struct Scenario: Codable {
        let name: String
        let unit: String
        let better: forwarder.Scenario.Better
        let variants: [String: Figure]
        /// Each variant over the kernel: the median of the ratios within each round.
        let ratio: [String: Double]
    }

    var schema = "forwarder.bench/1"
    var version = Node.version
    let build: Build
    let machine: Machine
    let scenarios: [Scenario]

    init(_ measurements: [Measurement]) {
        build = .this
        machine = .this
        scenarios = measurements.map(Scenario.init)
    }

    var text: String {
        let conditions = "\(machine.cores) cores of \(machine.cpu), Linux \(machine.kernel), \(build.rawValue) build\n"
        return ([conditions] + scenarios.map(\.text)).joined(separator: "\n")
    }
}

extension BenchReport.Scenario {
    init(_ measurement: Measurement) {
        name = measurement.scenario.name
        unit = measurement.scenario.unit
        better = measurement.scenario.better
        let figures = measurement.figures
        variants = Dictionary(
            uniqueKeysWithValues: figures.map { ($0.variant.rawValue, .init($0.values, $0.processorSeconds)) })
        let kernel = measurement.spread(of: .kernel)
        ratio = Dictionary(
            uniqueKeysWithValues: figures.filter { $0.variant != .kernel }.compactMap { figure in
                kernel.map { (figure.variant.rawValue, figure.values.ratio(to: $0)) }
            })
    }

    var text: String {
        let heading = ["variant", "median", "low", "high", "of kernel", "cpu s", "rounds"]
        let rows = variants.sorted { $0.key < $1.key }.map { name, figure in
            [name] + [figure.median, figure.low, figure.high].map { decimalText($0, places: 3) }
                + [ratio[name].map { decimalText($0, places: 2) } ?? ""]
                + [figure.cpuSeconds.map { decimalText($0, places: 2) } ?? ""]
                + [figure.rounds.map { decimalText($0, places: 2) }.joined(separator: " ")]
        }
        return "\(name) in \(unit), \(better.rawValue) is better\n" + textTable([heading] + rows)
    }
}

extension BenchReport.Figure {
    init(_ values: Spread, _ processorSeconds: Spread?) {
        median = values.median
        low = values.low
        high = values.high
        rounds = values.rounds
        cpuSeconds = processorSeconds?.median
    }
}
