package arc_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// The host of a mailing list records and seals its results after its last change
// to the message. The receiver verifies the chain and reads the results.
func Example() {
	key := dkim.Key{Domain: "list.example", Selector: "nov26", Private: ed25519.NewKeyFromSeed([]byte("an example's key, known to all.."))}
	record, err := key.Record()
	if err != nil {
		fmt.Println(err)
		return
	}
	dns, _ := dnstest.InMemory(fmt.Sprintf("%s. TXT %q", key.Name(), record))
	defer dns.Close()
	ctx := context.Background()
	verifier := &arc.Verifier{Resolver: dns}
	message := "From: alice@example.org\r\nSubject: [list] Hello\r\n\r\nHello all\r\n"

	before, err := verifier.Verify(ctx, strings.NewReader(message))
	if err != nil {
		fmt.Println(err)
		return
	}
	sealer := &arc.Sealer{Key: key, ID: "mx.list.example"}
	set, err := sealer.Seal(ctx, strings.NewReader(message), before, authres.Result{Method: "dmarc", Value: "pass"})
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := verifier.Verify(ctx, strings.NewReader(set+message))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(before.Result, after.Result, after.Sealers, strings.ReplaceAll(after.RecordedResults[0], "\t", " "))
	// Output: none pass [list.example] mx.list.example; dmarc=pass
}
