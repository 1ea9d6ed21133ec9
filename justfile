# The commands of the project in one place. Whatever has logic is in xtask.
test:               # everything that must hold before a commit is shared
    cargo xtask test
tidy:               # the rules that no compiler checks
    cargo xtask tidy
gen:                # writes openapi.json, config.default.toml and docs/reference
    cargo xtask gen
demo *arguments:    # the whole way of a webhook, on this machine
    cargo run --release -- demo {{arguments}}
bench *arguments:   # the published benchmark
    cargo xtask bench {{arguments}}
