package dkim_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Sign a message, publish the key and verify the message.
func Example() {
	key := dkim.Key{
		Domain:   "example.org",
		Selector: "nov26",
		Private:  ed25519.NewKeyFromSeed([]byte("an example's key, known to all.."))}
	record, err := key.Record()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s. TXT %q\n", key.Name(), record)

	message := "From: alice@example.org\r\nSubject: Hello\r\n\r\nHello Bob\r\n"
	signer := &dkim.Signer{Keys: dkim.Keys(key)}
	signature, err := signer.Sign(context.Background(), "example.org", strings.NewReader(message))
	if err != nil {
		fmt.Println(err)
		return
	}

	dns, _ := dnstest.InMemory(fmt.Sprintf("%s. TXT %q", key.Name(), record))
	defer dns.Close()
	verifier := &dkim.Verifier{Resolver: dns}
	for _, m := range []string{signature + message, signature + "Subject: You have won\r\n" + message} {
		verdict, err := verifier.Verify(context.Background(), strings.NewReader(m))
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, s := range verdict.Signatures {
			fmt.Println(s.Domain, s.Result, s.Err)
		}
	}
	// Output:
	// nov26._domainkey.example.org. TXT "v=DKIM1; k=ed25519; p=mVIZ4YymnSVZsPa8BxJKmCAUgVnoRYcz8nvji5amrR0="
	// example.org pass <nil>
	// example.org fail dkim: signature did not verify: dkim: invalid Ed25519 signature
}

// A relay that signs the messages of its users and networks, and its own reports.
func ExampleSigner_Agent() {
	signer := &dkim.Signer{
		Keys: dkim.Keys( /* the organization's keys */ ),
		When: func(s *smtpserver.Session, _ *smtpserver.Message) bool {
			return policy.RightsOf(context.Background(), s)&policy.AcceptAnyRecipient != 0
		},
	}
	q := &queue.Queue{Store: new(memory.Store), Hooks: []queue.Hook{signer.Hook()}}
	gate := &policy.Gate{
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		Outbound: []smtpserver.Agent{signer.Agent()},
		Queue:    q,
	}
	fmt.Println(gate.Install(&smtpserver.Server{Hostname: "relay.example.com"}))
	// Output: <nil>
}
