package agenttest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/milter"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/filter/scan"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/policy/trace/audit"
	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// serve starts a server without limits.
func serve(t *testing.T, agents ...smtpserver.Agent) (addr string) {
	return agenttest.StartServer(t, &smtpserver.Server{
		Hostname: "relay.example.com", Agents: agents, Handler: discard{},
		Limits: smtpserver.Limits{HeaderSize: 1 << 20, DataRate: -1, Recipients: 1 << 20, ConnectionRate: -1, MessageRate: -1, RecipientRate: -1, ProtocolErrors: 1 << 20, Tarpit: -1},
	}).Addr
}

// sendTo sends a message to n recipients, with pipelining, and reads all replies.
func sendTo(t *testing.T, addr string, n int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	replies := func(n int) (last string) {
		for n > 0 {
			if last, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if last[3] == ' ' {
				n--
			}
		}
		return last
	}
	replies(1)
	fmt.Fprint(c, "EHLO client.example.org\r\n")
	replies(1)
	var commands strings.Builder
	commands.WriteString("MAIL FROM:<a@example.net>\r\n")
	for i := range n {
		fmt.Fprintf(&commands, "RCPT TO:<u%d@d%d.example.com>\r\n", i, i)
	}
	commands.WriteString("DATA\r\n")
	var wg sync.WaitGroup
	wg.Go(func() { fmt.Fprint(c, commands.String()) })
	last := replies(n + 2)
	wg.Wait()
	if strings.HasPrefix(last, "354") {
		fmt.Fprint(c, "From: a@example.net\r\n\r\ntext\r\n.\r\n")
		replies(1)
	}
}

// Twice the recipients take each agent about twice the time.
func TestAgentsAreLinearInRecipients(t *testing.T) {
	domains, err := policy.NewDomains(policy.Domain{Name: "*.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := rewrite.NewMap(rewrite.Entry{Internal: "*.example.com", External: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	relay := &policy.Relay{Domains: domains, Resolver: noRecords}
	rule := func(c rules.Condition, a rules.Action) smtpserver.Agent {
		return (&rules.Rules{List: []rules.Rule{{Name: "r", If: []rules.Condition{c}, Then: []rules.Action{a}}}}).Agent()
	}
	trail := new(audit.Audit)
	tracer := &pipetrace.Tracer{Dir: t.TempDir(), Sender: "a@example.net"}
	for name, agents := range map[string][]smtpserver.Agent{
		"policy.Relay":            {relay.Agent()},
		"policy.ConnectionFilter": {(&policy.ConnectionFilter{ExceptRecipients: []string{"u1@d1.example.com"}, Resolver: noRecords}).Agent()},
		"policy.Greylist":         {new(policy.Greylist).Agent()},
		"policy.Pressure":         {(&policy.Pressure{Resources: []policy.Resource{}}).Agent()},
		"policy.Rates":            {(&policy.Rates{Rates: []policy.Rate{{Recipients: 1 << 20}}}).Agent()},
		"policy.RecipientFilter":  {(&policy.RecipientFilter{Domains: []string{"*.d1.example.com"}, Addresses: []string{"u2"}}).Agent()},
		"policy.Reputation":       {(&policy.Reputation{Domains: domains}).Agent()},
		"policy.SenderFilter":     {(&policy.SenderFilter{Addresses: []string{"b"}}).Agent()},
		"policy.SenderDomain":     {(&policy.SenderDomain{Resolver: noRecords}).Agent()},
		"policy.Tarpit":           {(&policy.Tarpit{Delay: 1, Max: 1}).Agent()},
		"policy.Trace":            {(&policy.Trace{}).Agent()},
		"spf.Checker":             {(&spf.Checker{Resolver: noRecords}).Agent()},
		"rewrite.Inbound":         {(&rewrite.Inbound{Map: addresses}).Agent()},
		"content.Filter":          {(&content.Filter{Quarantine: 0, QuarantineTo: "q@example.com"}).Agent()},
		"rules, recipients":       {relay.Agent(), rule(rules.To("*.example.com"), rules.Copy("archive@example.com"))},
		"rules, redirect":         {relay.Agent(), rule(rules.To("*.example.com"), rules.Redirect("archive@example.com"))},
		"milter.Client":           {(&milter.Client{Address: filter(t)}).Agent()},
		"scan.HTTP":               {(&scan.HTTP{URL: hook(t)}).Agent()},
		"audit.Audit":             trail.Wrap([]smtpserver.Agent{relay.Agent()}),
		"pipetrace.Tracer":        tracer.Wrap([]smtpserver.Agent{relay.Agent(), rule(rules.To("*.example.com"), rules.Copy("archive@example.com"))}),
	} {
		addr := serve(t, agents...)
		doubling.Time(t, map[string]func(string){
			name: func(s string) { sendTo(t, addr, len(s)/64) },
		}, []string{"a"})
	}
}

// answers is a Resolver whose answers the test makes.
type answers struct {
	mu   sync.Mutex // guards text
	text string
}

func (a *answers) set(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text = text
}

// Lookup returns as many records of the type as the text has room for.
func (a *answers) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &resolver.Answer{Expires: time.Unix(0, 1)}
	switch n := len(a.text) / 16; t {
	case resolver.TypeTXT:
		prefix := "v=spf1 "
		switch {
		case strings.Contains(name, "_domainkey"):
			prefix = "v=DKIM1; p="
		case strings.Contains(name, "_dmarc"):
			prefix = "v=DMARC1; p=none; "
		}
		r.TXT = []string{prefix + a.text}
		for i := range n {
			r.TXT = append(r.TXT, fmt.Sprint(i))
		}
	case resolver.TypeMX:
		for i := range n {
			r.MX = append(r.MX, resolver.MX{Preference: uint16(i), Host: fmt.Sprintf("mx%d.example", i)})
		}
	case resolver.TypePTR:
		for i := range n {
			r.Names = append(r.Names, fmt.Sprintf("host%d.example", i))
		}
	case resolver.TypeA, resolver.TypeAAAA:
		for i := range n {
			r.Addrs = append(r.Addrs, netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
	}
	return r, nil
}

// Twice the answer from the DNS takes each agent that asks it about twice the time.
func TestAgentsAreLinearInAnswers(t *testing.T) {
	dns := new(answers)
	units := []string{"a", "a ", "mx ", "a:b.example ", "exists:%{i}.example ", "ip4:192.0.2.1 ", "exp=a.example ", "%%", "a=b;", ";", "p=none;", "rua=mailto:a@b.example,", "AA", "=", "\xff"}
	const message = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d.example; s=s; h=from; bh=YQ==; b=YQ==\r\n" +
		"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=d.example; s=s; b=YQ==\r\n" +
		"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=d.example; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=YQ==\r\n" +
		"ARC-Authentication-Results: i=1; a.example; spf=pass\r\nFrom: a@d.example\r\n\r\n"
	for name, agent := range map[string]smtpserver.Agent{
		"spf.Checker":             (&spf.Checker{Resolver: dns}).Agent(),
		"dkim.Verifier":           (&dkim.Verifier{Resolver: dns}).Agent(),
		"arc.Verifier":            (&arc.Verifier{Resolver: dns}).Agent(),
		"dmarc.Checker":           (&dmarc.Checker{Resolver: dns}).Agent(),
		"policy.SenderDomain":     (&policy.SenderDomain{Resolver: dns}).Agent(),
		"policy.Trace":            (&policy.Trace{ReverseDNS: true, Resolver: dns}).Agent(),
		"policy.ConnectionFilter": (&policy.ConnectionFilter{BlockHosts: []string{"*.invalid"}, AllowHosts: []string{"*.test"}, BlockLists: []policy.DNSList{{Zone: "list.example"}}, Resolver: dns}).Agent(),
		"policy.Relay":            (&policy.Relay{Resolver: dns, Grants: []policy.Grant{{To: policy.Clients{Hosts: []string{"*.test"}}, Rights: policy.BypassAntiSpam}}}).Agent(),
	} {
		addr := serve(t, agent)
		doubling.Time(t, map[string]func(string){
			name: func(s string) { dns.set(s); send(t, addr, message) },
		}, units)
	}
}
