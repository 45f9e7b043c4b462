package policy

import (
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Mistakes in the settings of a Gate. Install returns an error that names the
// field, and does not change the server.
func TestWrongSettings(t *testing.T) {
	var (
		noQueue    *queue.Queue
		noResolver *NetResolver
		noFile     *FileDirectory
		noFunc     DirectoryFunc
	)
	domain := func(name string) Gate { return Gate{Queue: new(outbox), Domains: []Domain{{Name: name}}} }
	with := func(d Directory) Gate {
		return Gate{Queue: new(outbox), Domains: []Domain{{Name: "example.com", Directory: d}, {Name: "*.example.org"}}}
	}
	networks := func(p ...netip.Prefix) Gate { return Gate{Queue: new(outbox), Networks: p} }
	const accepted = `policy: accepted domain "example.com": Directory: `
	for _, c := range []struct {
		gate Gate
		want string
	}{
		{Gate{}, "policy: Gate.Queue is not set"},
		{Gate{Queue: noQueue}, "policy: Gate.Queue is a nil *queue.Queue"},
		{Gate{Queue: new(outbox), Resolver: noResolver}, "policy: Gate.Resolver is a nil *resolver.Net"},

		{networks(netip.MustParsePrefix("10.1.2.3/8")), `policy: Networks: policy: network "10.1.2.3/8": has bits beyond its length; the network is 10.0.0.0/8`},
		{networks(netip.Prefix{}), "policy: Networks: policy: network invalid Prefix: not a valid prefix"},
		{networks(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16")), ""}, // one may contain the other
		{networks(netip.MustParsePrefix("10.1.2.3/32")), ""},

		{domain("exam ple.com"), `policy: accepted domain "exam ple.com": not a domain name: domain "exam ple.com": has a character that is not allowed in host names`},
		{domain(""), `policy: accepted domain "": not a domain name: domain "": empty, or has an empty label`},
		{domain("@example.com"), `policy: accepted domain "@example.com": not a domain name: domain "@example.com": has a character that is not allowed in host names`},
		{domain("example..com"), `policy: accepted domain "example..com": not a domain name: domain "example..com": empty, or has an empty label`},
		{domain("*"), `policy: accepted domain "*": not a domain name: domain "*": has a character that is not allowed in host names`},
		{Gate{Queue: new(outbox), Domains: []Domain{{Name: "example.com"}, {Name: "Example.COM."}}}, `policy: accepted domain "Example.COM.": listed twice`},
		{domain("münchen.example"), ""},
		{domain(" example.com\t"), ""}, // spaces around a domain are ignored, as in routing
		{domain(" *.example.com"), ""},
		{domain("EXAMPLE.com."), ""},
		{domain("[192.0.2.1]"), ""},
		{domain("example.com"), ""}, // authoritative without a Directory: see Domain.Directory

		{with(Recipients()), accepted + "the list of Recipients is empty"},
		{with(Recipients("alice", "Bob <bob@example.com>", "bob smith", "")), accepted + `Recipients: "Bob <bob@example.com>" is neither an address nor a local part` + "\n" +
			accepted + `Recipients: "bob smith" is neither an address nor a local part` + "\n" +
			accepted + `Recipients: "" is neither an address nor a local part`},
		{with(Recipients("alice@exmaple.com")), accepted + `Recipients: "alice@exmaple.com" is not in an accepted domain`},
		{with(Subaddresses(Recipients("bob smith"), "")), accepted + `Recipients: "bob smith" is neither an address nor a local part`},
		{with(AnyOf(Recipients("alice"), nil)), accepted + "it is nil"},
		{with(AnyOf()), accepted + "AnyOf has no Directory"},
		{with(noFile), accepted + "it is a nil *policy.FileDirectory"},
		{with(noFunc), accepted + "it is a nil policy.DirectoryFunc"},
		{with(new(FileDirectory)), accepted + "policy: FileDirectory.Path is not set"},
		{with(&FileDirectory{Path: "list", Interval: 5}), accepted + "policy: FileDirectory.Interval is 5 nanoseconds: is the unit missing, for example 5*time.Second?"},
		{Gate{Queue: new(outbox), Domains: []Domain{{Name: "example.com", Kind: InternalRelay, Directory: Recipients("alice"), SharedWith: []OtherSystem{{Directory: Recipients(""), Route: queue.NextHop{Connector: "c"}}}}}},
			`policy: accepted domain "example.com": SharedWith[0].Directory: Recipients: "" is neither an address nor a local part`},
		{with(Recipients("alice", "Bob@EXAMPLE.com", "carol@example.com.", `"a b"`, `"x@y"`, "50%off", "jörg", "dave@sub.example.org", "postmaster")), ""},
		{with(&FileDirectory{Path: "list"}), ""},
	} {
		srv := new(smtpserver.Server)
		if got := textOf(c.gate.Install(srv)); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
		if c.want != "" && (srv.Handler != nil || srv.Agents != nil) {
			t.Errorf("%s: the server was changed", c.want)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Install of and with nil is an error.
func TestInstallNil(t *testing.T) {
	var none *Gate
	if err := none.Install(new(smtpserver.Server)); textOf(err) != "policy: the Gate is nil" {
		t.Error(err)
	}
	if err := (&Gate{Queue: new(outbox)}).Install(nil); textOf(err) != "policy: Gate.Install: the server is nil" {
		t.Error(err)
	}
}
