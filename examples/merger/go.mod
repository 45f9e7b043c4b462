module github.com/bridgehead-mail/bridgehead/examples/merger

go 1.25.0

require (
	github.com/bridgehead-mail/bridgehead v0.1.0
	github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile v0.1.0
	github.com/bridgehead-mail/bridgehead/policy/ldap v0.1.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/Azure/go-ntlmssp v0.1.1 // indirect
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	github.com/emersion/go-smtp v0.25.1 // indirect
	github.com/gaissmai/bart v0.30.0 // indirect
	github.com/go-asn1-ber/asn1-ber v1.5.8 // indirect
	github.com/go-ldap/ldap/v3 v3.4.14 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/bridgehead-mail/bridgehead => ../..
	github.com/bridgehead-mail/bridgehead/examples/internal/yamlfile => ../internal/yamlfile
	github.com/bridgehead-mail/bridgehead/policy/ldap => ../../policy/ldap
)
