module github.com/bridgehead-mail/bridgehead/examples/cluster

go 1.26.0

require (
	github.com/bridgehead-mail/bridgehead v0.1.0
	github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile v0.1.0
	github.com/bridgehead-mail/bridgehead/queue/postgres v0.1.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	github.com/emersion/go-smtp v0.25.1 // indirect
	github.com/gaissmai/bart v0.30.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.13.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/bridgehead-mail/bridgehead => ../..
	github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile => ../internal/yamlfile
	github.com/bridgehead-mail/bridgehead/queue/postgres => ../../queue/postgres
)
