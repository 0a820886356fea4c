/// How this program was compiled. A debug build checks and counts so much that its speed says nothing.
enum Build: String, Codable {
    case debug, release

    static var this: Build {
        #if DEBUG
            .debug
        #else
            .release
        #endif
    }

    static func warnIfSlow() {
        if this == .debug {
            Output.say("this is a debug build, whose speed says nothing: use one of `swift build -c release`")
        }
    }
}
