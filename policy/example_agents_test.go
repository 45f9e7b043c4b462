package policy_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Rights as on an Exchange receive connector: everyone may submit mail, the
// mail servers of a partner may use any sender, the branch office has the same
// rights as the organization's servers, and every authenticated client is a
// user.
func ExampleRelay() {
	domains, err := policy.NewDomains(policy.Domain{Name: "example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	relay := &policy.Relay{
		Domains:       domains,
		Authenticated: true,
		Grants: []policy.Grant{
			{To: policy.Clients{Everyone: true}, Rights: policy.Partners},
			{To: policy.Clients{Hosts: []string{"*.partner.example"}}, Rights: policy.AnonymousUsers | policy.BypassAntiSpam},
			{To: policy.Clients{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Rights: policy.ExternallySecured},
		},
	}
	fmt.Println(relay.Validate())
	// A grant for all clients except a list would make an open relay.
	relay.Grants = append(relay.Grants, policy.Grant{
		To: policy.Clients{Everyone: true, Except: &policy.Clients{Hosts: []string{"*.evil.example"}}}, Rights: policy.AcceptAnyRecipient})
	fmt.Println(relay.Validate())
	// Output:
	// <nil>
	// policy: Grants[3]: accept-any-recipient for everyone except a list: that would be an open relay
}

// ConnectionFilter with its own lists and DNS lists. The organization's
// firewall forwards mail from outside, and is not checked itself.
func ExampleConnectionFilter() {
	block, err := policy.ReadNetworks(strings.NewReader(`
		192.0.2.0/24                   # a network
		198.51.100.7-198.51.100.19     # a range
		2001:db8:bad::/48`))
	if err != nil {
		fmt.Println(err)
		return
	}
	internal, err := policy.NewNetworks(netip.MustParsePrefix("10.0.0.1/32"))
	if err != nil {
		fmt.Println(err)
		return
	}
	filter := &policy.ConnectionFilter{
		Block:      block,
		BlockHosts: []string{"*.dynamic.example"},
		Internal:   internal,
		BlockLists: []policy.DNSList{
			{Zone: "strict.list.example", Weight: 2, Reply: "{ip} is on a list, see https://list.example/{ip}"},
			{Zone: "other.list.example", Optional: true},
		},
		Threshold:        2,
		ExceptRecipients: []string{"postmaster", "abuse"},
	}
	fmt.Println(filter.Validate(), block.Contains(netip.MustParseAddr("198.51.100.8")))
	// Output: <nil> true
}

// Clients without a reverse-DNS name are refused. Clients that greet with another
// name than their own wait, and their mail gets a field for the spam filter.
func ExampleClientName() {
	names := &policy.ClientName{
		NoPTR:            policy.NameRefuse,
		Unconfirmed:      policy.NameTag,
		Helo:             policy.NameDelay,
		HeloForward:      true,
		ExceptRecipients: []string{"postmaster", "abuse"},
	}
	gate := &policy.Gate{ClientName: names}
	fmt.Println(gate.ClientName.Validate())
	// Output: <nil>
}

// Outside clients cannot use senders of the organization, except its
// newsletter service. Users can use their own senders.
func ExampleSpoofing() {
	gate := &policy.Gate{
		Domains:       []policy.Domain{{Name: "example.com"}},
		Authenticated: true,
		Spoofing:      &policy.Spoofing{Senders: []string{"newsletter@example.com"}},
		SendAs: &policy.SendAs{Owns: policy.SendersOf(map[string][]string{
			"alice": {"alice@example.com", "sales@example.com"},
			"root":  {"@example.com"},
		})},
	}
	ok, err := gate.SendAs.Owns(context.Background(), "alice", "Sales@example.com")
	fmt.Println(ok, err)
	// Output: true <nil>
}

// A stolen password can be used to send at most 500 messages a day.
func ExampleRates() {
	rates := &policy.Rates{Rates: []policy.Rate{
		{By: policy.ByIdentity, Messages: 500, Recipients: 2000, Per: 24 * time.Hour, ExemptIdentities: []string{"newsletter"}},
		{By: policy.ByNetwork, Messages: 1000},
	}}
	fmt.Println(rates.Validate())
	// Output: <nil>
}

// A directory in a file. Users can be added to the file while the relay runs.
// An error in the file is found before the server starts.
func ExampleFileDirectory() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "recipients")
	if err := os.WriteFile(path, []byte("alice\nbob@example.com  # only there\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	file := &policy.FileDirectory{Path: path}
	if err := file.Load(); err != nil {
		fmt.Println(err)
		return
	}
	for _, address := range []string{"Alice@example.com", "bob@example.net"} {
		fmt.Println(file.Exists(context.Background(), address))
	}
	// Output:
	// true <nil>
	// false <nil>
}

// The cache calls a slow directory once in an hour for each recipient. If the
// directory fails, known recipients still exist for a day.
func ExampleCachedDirectory() {
	asked := 0
	slow := policy.DirectoryFunc(func(context.Context, string) (bool, error) {
		asked++
		return true, nil
	})
	d := &policy.CachedDirectory{Directory: slow}
	for range 1000 {
		if ok, err := d.Exists(context.Background(), "alice@example.com"); !ok || err != nil {
			fmt.Println(ok, err)
		}
	}
	fmt.Println(asked)
	// Output: 1
}

// Mail from outside is delayed, and later all mail is refused, if the disk is
// nearly full, memory use is high, the queue is long, or a scanner has too much
// work.
func ExamplePressure() {
	store := new(memory.Store) // with the queue of the relay
	p := &policy.Pressure{Resources: []policy.Resource{
		policy.DiskUse("/"),
		policy.MemoryUse(1 << 40),
		policy.QueueLength(store),
		{Name: "scanner load", Medium: 8, High: 16, Use: func() (float64, error) { return 12, nil }},
	}}
	fmt.Println(p.Validate())
	// Output: <nil>
}

// The scanner is not called for mail of the organization's own users.
func ExampleUnless() {
	scanner := smtpserver.Agent{Name: "scanner", EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
		return nil // or an *smtp.SMTPError
	}}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{policy.Unless(policy.BypassAntiSpam, scanner)}}
	fmt.Println(srv.Agents[0].Name)
	// Output: scanner
}

// Reputation saves its state in a file, and probes clients with bad points for
// open proxies.
func ExampleReputation() {
	probe := &policy.ProxyProbe{
		Target:   netip.MustParseAddrPort("198.41.0.4:25"), // this server's address on the internet
		Greeting: "220 relay.example.com ",
	}
	defer probe.Close() // after the server has ended
	reputation := &policy.Reputation{ProxyProbe: probe}
	if err := reputation.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	reputation.Block(netip.MustParseAddr("192.0.2.7"), time.Hour)

	var file bytes.Buffer // a program uses a file
	if err := reputation.Save(&file); err != nil {
		fmt.Println(err)
		return
	}
	restarted := new(policy.Reputation)
	fmt.Println(restarted.Load(&file))

	// An operator looks at the blocks, and removes one.
	for _, b := range restarted.Blocks() {
		fmt.Println(b.Network, time.Until(b.Until).Round(time.Hour))
	}
	fmt.Println(restarted.Unblock(netip.MustParseAddr("192.0.2.7")), len(restarted.Blocks()))
	// Output:
	// <nil>
	// 192.0.2.7/32 1h0m0s
	// true 0
}
