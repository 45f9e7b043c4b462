package policy_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Aliases, contacts and groups in a file. Clients may write to them, and the queue
// replaces them by their members.
func ExampleAliases() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "aliases")
	text := "info@example.com: alice@example.com\nsales@example.com: bob@example.com, info@example.com, partner@example.net\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	file := &policy.AliasFile{Path: path}
	if err := file.Load(); err != nil { // to see an error at start
		fmt.Println(err)
		return
	}
	aliases := &policy.Aliases{Source: file}
	domain := policy.Domain{Name: "example.com", Directory: policy.AnyOf(policy.Recipients("alice", "bob"), aliases)}
	q := &queue.Queue{Hooks: []queue.Hook{aliases.Hook()}} // and Store, Deliverer

	known, err := domain.Directory.Exists(context.Background(), "sales@example.com")
	fmt.Println(known, err)
	m := &queue.Message{From: "carol@example.net", Recipients: queue.Rcpt("sales@example.com")}
	if err := q.Hooks[0].Resolved(context.Background(), m); err != nil { // the queue does this
		fmt.Println(err)
	}
	for _, r := range m.Recipients {
		fmt.Println(r.Addr, r.Status == queue.Expanded)
	}
	// Output:
	// true <nil>
	// sales@example.com true
	// bob@example.com false
	// alice@example.com false
	// partner@example.net false
}

// A filter refuses unwanted senders.
func ExampleSenderFilter() {
	filter := &policy.SenderFilter{
		Addresses: []string{"offers@shop.example", "do-not-reply"}, // the second entry applies in every domain
		Domains:   []string{"spam.example", "*.spam.example"},
	}
	fmt.Println(filter.Validate())
	filter.Domains = append(filter.Domains, "*")
	fmt.Println(filter.Validate())
	// Output:
	// <nil>
	// policy: SenderFilter.Domains: "*" is neither a domain name nor *.domain
}

// A mailbox is closed, and only members of the organization may write to a
// list, also with a subaddress.
func ExampleRecipientFilter() {
	filter := &policy.RecipientFilter{
		Addresses:  []string{"former@example.com"},
		Internal:   []string{"all@example.com"},
		Separators: "+",
	}
	fmt.Println(filter.Validate())
	// Output: <nil>
}

// Users may add any text after a plus to their addresses.
func ExampleSubaddresses() {
	d := policy.Subaddresses(policy.Recipients("alice", "bob"), "+")
	for _, address := range []string{"alice@example.com", "alice+shop@example.com", "mallory+alice@example.com"} {
		ok, err := d.Exists(context.Background(), address)
		fmt.Println(address, ok, err)
	}
	// Output:
	// alice@example.com true <nil>
	// alice+shop@example.com true <nil>
	// mallory+alice@example.com false <nil>
}

// The state of the greylist is kept across a restart.
func ExampleGreylist() {
	greylist := new(policy.Greylist)
	// ... gate := &policy.Gate{Greylist: greylist, ...}. After the server has
	// ended:
	var file bytes.Buffer // a program uses a file
	if err := greylist.Save(&file); err != nil {
		fmt.Println(err)
		return
	}
	restarted := new(policy.Greylist)
	fmt.Println(restarted.Load(&file))
	// Output: <nil>
}

// An agent of the application adds a recipient, and calls Admit for it.
func ExampleAdmit() {
	archive := smtpserver.Agent{Name: "archive", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		const copyTo = "archive@backup.example" // not an accepted domain
		m.Recipients = append(m.Recipients, smtpserver.Recipient{Addr: copyTo})
		policy.Admit(s, copyTo)
		return nil
	}}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{archive}}
	fmt.Println(srv.Agents[0].Name)
	// Output: archive
}

// The recipients of the domain are known. Another system has the domains below
// it.
func ExampleNewDomains() {
	domains, err := policy.NewDomains(
		policy.Domain{Name: "example.com", Directory: policy.Recipients("alice"), Default: true},
		policy.Domain{Name: "*.example.com", Kind: policy.ExternalRelay},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(domains.Lookup("Example.COM").Kind, domains.Lookup("host.example.com").Kind, domains.Lookup("example.net"), domains.Default())
	// Output: authoritative external relay <nil> example.com
}
