package policy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// sharedDomain is a domain on several systems: alice is on this one, bob on a
// second, carol on a third. All other recipients are on a fourth system.
func sharedDomain() Domain {
	return Domain{Name: "shared.example", Kind: InternalRelay, Directory: Recipients("alice"),
		SharedWith: []OtherSystem{
			{Directory: Recipients("alice", "bob"), Route: queue.NextHop{Connector: "theirs"}},
			{Directory: Recipients("bob", "carol"), Route: queue.NextHop{Connector: "third"}},
		},
		Unresolved: queue.NextHop{Connector: "old"}}
}

var sharedRoutes = map[string]string{"alice": "", "bob": "theirs", "carol": "third", "dave": "old", "postmaster": ""}

func TestSharedDomainAtRCPT(t *testing.T) {
	srv, out := install(t, &Gate{Domains: []Domain{sharedDomain()}}, &smtpserver.Server{})
	talk := "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<someone@example.net>\nS: 250\n"
	for name := range sharedRoutes {
		talk += "C: RCPT TO:<" + name + "@shared.example>\nS: 250\n"
	}
	srv.Talk(t, stranger, talk+body+"S: 250")
	for _, r := range out.only(t).Recipients {
		local, _, _ := strings.Cut(r.Addr, "@")
		if r.Route.Connector != sharedRoutes[local] {
			t.Errorf("%s is routed to %q, want %q", r.Addr, r.Route.Connector, sharedRoutes[local])
		}
	}
}

// Mail that was not received by SMTP, such as the queue's own reports, gets the
// same next hops.
func TestSharedDomainByHook(t *testing.T) {
	domains, err := NewDomains(sharedDomain(),
		Domain{Name: "catch.example", Directory: Recipients("alice"), CatchAll: "rest@catch.example"},
		Domain{Name: "strict.example", Directory: Recipients("alice"), SharedWith: []OtherSystem{{Recipients("bob"), queue.NextHop{Connector: "theirs"}}}})
	if err != nil {
		t.Fatal(err)
	}
	q := &queue.Queue{Store: &memory.Store{}, Deliverer: noDelivery{}, Hooks: []queue.Hook{domains.Hook()}}
	m := &queue.Message{Content: queue.String("Subject: x\r\n\r\n"), Recipients: queue.Rcpt("alice@shared.example", "bob@Shared.Example", "carol@shared.example", "dave@shared.example",
		"postmaster@shared.example", "nobody@catch.example", "bob@strict.example", "dave@strict.example", "eve@example.net")}
	routed := &queue.Recipient{Addr: "bob@shared.example", Route: queue.NextHop{Connector: "an agent's"}}
	m.Recipients = append(m.Recipients, routed)
	if err := q.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := []string{"alice@shared.example", "bob@Shared.Example theirs", "carol@shared.example third", "dave@shared.example old",
		"postmaster@shared.example", "rest@catch.example", "bob@strict.example theirs", "dave@strict.example", "eve@example.net",
		"bob@shared.example an agent's"}
	for i, r := range m.Recipients {
		if got := strings.TrimSpace(r.Addr + " " + r.Route.Connector); got != want[i] {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
	if o := m.Recipients[5].Options; o.OriginalRecipient != "nobody@catch.example" || o.OriginalRecipientType != smtp.DSNAddressTypeRFC822 {
		t.Errorf("original recipient %+v", o)
	}
}

func TestHookWhenADirectoryIsDown(t *testing.T) {
	d := sharedDomain()
	d.SharedWith[1].Directory = DirectoryFunc(func(context.Context, string) (bool, error) { return false, errors.New("down") })
	domains, err := NewDomains(d)
	if err != nil {
		t.Fatal(err)
	}
	hook := domains.Hook()
	if err := hook.Resolved(t.Context(), &queue.Message{Recipients: queue.Rcpt("bob@shared.example")}); err != nil {
		t.Errorf("a recipient that an earlier directory lists: %v", err)
	}
	var reply *smtp.SMTPError
	err = hook.Resolved(t.Context(), &queue.Message{Recipients: queue.Rcpt("dave@shared.example")})
	if !errors.As(err, &reply) || reply.Code != 451 {
		t.Errorf("%v, want 451", err)
	}
}

// An agent of the application selects the next hop.
func TestSetRoute(t *testing.T) {
	hop := queue.NextHop{Connector: "new system"}
	var strange bool
	own := smtpserver.Agent{Name: "canary",
		Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if !SetRoute(s, "bob@example.com", hop) && to == "bob@example.com" {
				return errors.New("bob is not there")
			}
			return nil
		},
		EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			strange = SetRoute(s, "mallory@example.net", hop)
			SetRoute(s, "carol@example.com", hop)
			return nil
		}}
	srv, out := install(t, &Gate{Domains: []Domain{{Name: "example.com"}}}, &smtpserver.Server{Agents: []smtpserver.Agent{own}})
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<someone@example.net>
		S: 250
		C: RCPT TO:<alice@example.com>
		C: RCPT TO:<bob@example.com>
		C: RCPT TO:<carol@example.com>
		S: 250
		S: 250
		S: 250
	`+body+"S: 250")
	want := []queue.NextHop{{}, hop, hop}
	for i, r := range out.only(t).Recipients {
		if r.Route != want[i] {
			t.Errorf("%s is routed to %v, want %v", r.Addr, r.Route, want[i])
		}
	}
	if strange {
		t.Error("SetRoute set a next hop for a recipient that was not admitted")
	}
}

func TestFaultySharedWith(t *testing.T) {
	hop := queue.NextHop{Connector: "theirs"}
	for want, d := range map[string]Domain{
		"SharedWith requires a Directory": {Name: "a.example", SharedWith: []OtherSystem{{Recipients(), hop}}},
		"no Directory in SharedWith[0]":   {Name: "a.example", Directory: Recipients(), SharedWith: []OtherSystem{{nil, hop}}},
		"no Route in SharedWith[0]":       {Name: "a.example", Directory: Recipients(), SharedWith: []OtherSystem{{Directory: Recipients()}}},
	} {
		if _, err := NewDomains(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

type noDelivery struct{}

func (noDelivery) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{}, nil
}

func (noDelivery) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	return make([]queue.Result, len(rcpts))
}
