import Lab

/// A scenario measured: every variant in every round, in one lab.
struct Measurement {
    let scenario: Scenario
    let figures: [(variant: Variant, values: Spread, processorSeconds: Spread?)]

    func spread(of variant: Variant) -> Spread? { figures.first { $0.variant == variant }?.values }
}

extension Measurement {
    /// - Parameters:
    ///   - variants: other than the scenario's own.
    ///   - told: hears of each figure as it comes.
    init(
        of scenario: Scenario, variants: [Variant]? = nil, rounds: Int, seconds: Int, told: (String) -> Void
    ) throws(LabFailure) {
        self.scenario = scenario
        let lab = try scenario.lab.make()
        let variants = variants ?? scenario.variants
        let samples = try interleave(variants, rounds: rounds) { variant, round throws(LabFailure) in
            let sample = try scenario.measure(lab, variant, seconds)
            let value = decimalText(sample.value, places: 3)
            told("\(scenario.name), round \(round + 1) of \(rounds): \(variant.rawValue) \(value) \(scenario.unit)")
            return sample
        }
        figures = zip(variants, samples).map { variant, samples in
            let used = samples.compactMap(\.processorSeconds)
            return (variant, Spread(samples.map(\.value)), used.isEmpty ? nil : Spread(used))
        }
    }
}
