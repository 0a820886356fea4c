import Lab
import Testing

extension Trait where Self == ConditionTrait {
    /// Skips with a sentence where the lab cannot be built.
    static var labCanBeBuilt: Self {
        .enabled(if: Prerequisite.missing.isEmpty, "the lab needs \(Prerequisite.missing.map(\.sentence))")
    }
}
