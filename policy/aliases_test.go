package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// mustAliases returns the Aliases of a file.
func mustAliases(t testing.TB, text string) *Aliases {
	t.Helper()
	table, err := parseAliases(text)
	if err != nil {
		t.Fatal(err)
	}
	return &Aliases{Source: aliasMap(table)}
}

// expanded runs the hook for a message to the addresses, and describes the
// recipients that are waiting.
func expanded(t testing.TB, a *Aliases, from string, to ...string) (string, error) {
	t.Helper()
	m := &queue.Message{From: from, Recipients: queue.Rcpt(to...)}
	err := a.Hook().Resolved(t.Context(), m)
	var all []string
	for _, r := range m.Recipients {
		if r.Status != queue.Waiting {
			continue
		}
		text := r.Addr
		if r.Route != (queue.NextHop{}) {
			text += " over " + r.Route.String()
		}
		if len(r.Options.Notify) == 1 && r.Options.Notify[0] == smtp.DSNNotifyNever {
			text += " quietly"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", "), err
}

func TestAliases(t *testing.T) {
	a := mustAliases(t, `
info@example.com:    alice@example.com
partner@example.com: someone@example.net
second@example.com:  info@example.com
sales@example.com:   Bob@example.com, info@example.com, ALICE@example.com, partner@example.com
all@example.com:     sales@example.com, second@example.com, dave@example.com
copy@example.com:    copy@example.com, archive@example.com
team@example.com:    copy@example.com, dave@example.com
frank@example.com:   :host: mail2.example.com
board@example.com:   :hidden: frank@example.com, all@example.com
loop1@example.com:   loop2@example.com
loop2@example.com:   loop1@example.com
self@example.com:    self@example.com
half@example.com:    half2@example.com, erin@example.com
half2@example.com:   half@example.com, frank@example.com
list@example.com:    bob@example.com, dave@example.com
owner-list@example.com: alice@example.com
outer@example.com:   list@example.com, erin@example.com
`)
	for _, tt := range []struct{ to, want string }{
		{"bob@example.com", "bob@example.com"},
		{"INFO@example.com", "alice@example.com"},
		{"partner@example.com", "someone@example.net"},
		{"second@example.com", "alice@example.com"},
		{"sales@example.com", "Bob@example.com, alice@example.com, someone@example.net"},
		{"all@example.com", "Bob@example.com, alice@example.com, someone@example.net, dave@example.com"},
		{"sales@example.com all@example.com bob@example.com", "bob@example.com, alice@example.com, someone@example.net, dave@example.com"},
		{"info@example.com second@example.com", "alice@example.com"},
		{"copy@example.com", "copy@example.com, archive@example.com"},
		{"copy@example.com archive@example.com", "copy@example.com, archive@example.com"},
		{"team@example.com", "copy@example.com, archive@example.com, dave@example.com"},
		{"frank@example.com", "frank@example.com over mail2.example.com"},
		{"board@example.com", "frank@example.com over mail2.example.com quietly, Bob@example.com quietly, alice@example.com quietly, someone@example.net quietly, dave@example.com quietly"},
		{"self@example.com", "self@example.com"},
		{"half@example.com", "frank@example.com over mail2.example.com, erin@example.com"},
		{"list@example.com", "list@example.com over (members) via lists"},
		{"outer@example.com", "list@example.com over (members) via lists, erin@example.com"},
		{"owner-list@example.com", "alice@example.com"},
	} {
		got, err := expanded(t, a, "x@example.net", strings.Fields(tt.to)...)
		if err != nil || got != tt.want {
			t.Errorf("%s becomes %s, %v\nwant %s", tt.to, got, err, tt.want)
		}
		again, err := expanded(t, a, "x@example.net", strings.Fields(tt.to)...)
		if err != nil || got != again {
			t.Errorf("%s becomes %s, and then %s, %v", tt.to, got, again, err)
		}
	}
	// Reports have no sender that the owner could replace.
	if got, err := expanded(t, a, "", "list@example.com"); err != nil || got != "bob@example.com, dave@example.com" {
		t.Errorf("a report goes to %s, %v", got, err)
	}
	if _, err := expanded(t, a, "x@example.net", "loop1@example.com"); !errors.Is(err, errAliasLoop) {
		t.Errorf("loop: %v", err)
	}
	for address, want := range map[string]bool{"info@example.com": true, "list@example.com": true, "bob@example.com": false} {
		if got, err := a.Exists(t.Context(), address); got != want || err != nil {
			t.Errorf("Exists(%s): %v, %v", address, got, err)
		}
	}
}

// The bounds of depth and members are exact.
func TestAliasBounds(t *testing.T) {
	chain := func(n int) *Aliases {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d@example.com: a%d@example.com\n", i, i+1)
		}
		return mustAliases(t, b.String())
	}
	if got, err := expanded(t, chain(10), "x@example.net", "a0@example.com"); err != nil || got != "a10@example.com" {
		t.Errorf("ten levels: %s, %v", got, err)
	}
	if _, err := expanded(t, chain(11), "x@example.net", "a0@example.com"); !errors.Is(err, errAliasDeep) {
		t.Errorf("eleven levels: %v", err)
	}
	a := mustAliases(t, "g@example.com: a@example.com, h@example.com\nh@example.com: a@example.com, b@example.com")
	a.MaxMembers = 4
	if got, err := expanded(t, a, "x@example.net", "g@example.com"); err != nil || got != "a@example.com, b@example.com" {
		t.Errorf("four members: %s, %v", got, err)
	}
	if _, err := expanded(t, a, "x@example.net", "g@example.com", "h@example.com"); !errors.Is(err, errAliasMembers) {
		t.Errorf("four and two members: %v", err)
	}
	a.MaxMembers = 3
	if _, err := expanded(t, a, "x@example.net", "g@example.com"); !errors.Is(err, errAliasMembers) {
		t.Errorf("three members: %v", err)
	}
	if err := (&Aliases{MaxDepth: -1}).Validate(); err == nil || !strings.Contains(err.Error(), "Aliases.Source is not set") || !strings.Contains(err.Error(), "Aliases.MaxDepth") {
		t.Errorf("Validate: %v", err)
	}
}

// A source that cannot answer defers the mail. Addresses of other domains are not
// looked up.
func TestAliasSourceFails(t *testing.T) {
	asked := ""
	source := aliasFunc(func(address string) (*Alias, error) {
		asked += address + " "
		if address == "two@example.com" {
			return nil, fmt.Errorf("ldap: %w", ErrAmbiguous)
		}
		if address == "empty@example.com" {
			return nil, ErrNoMembers
		}
		return nil, errors.New("down")
	})
	a := &Aliases{Source: source, Domains: mustDomains(t, Domain{Name: "example.com", Directory: Recipients("x")})}
	for to, want := range map[string]error{"a@example.com": errDirectory, "two@example.com": errAmbiguous, "empty@example.com": errUnknown, "a@example.net": nil} {
		if _, err := expanded(t, a, "x@example.net", to); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", to, err, want)
		}
	}
	if ok, err := a.Exists(t.Context(), "empty@example.com"); ok || err != nil {
		t.Errorf("Exists of an empty group: %v, %v", ok, err)
	}
	if strings.Contains(asked, "example.net") {
		t.Errorf("asked for %s", asked)
	}
}

type aliasFunc func(address string) (*Alias, error)

func (f aliasFunc) Alias(_ context.Context, address string) (*Alias, error) { return f(address) }

// listWorld is a Deliverer that records mail, and gives that of the connector lists to
// the Aliases.
type listWorld struct {
	a    *Aliases
	sent chan string
}

func (w listWorld) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Destination: "hub"}, nil
}

func (w listWorld) Deliver(ctx context.Context, hop queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	if hop.Connector == "lists" {
		return w.a.Deliver(ctx, m, rcpts)
	}
	var to []string
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		to = append(to, r.Addr)
		if results[i] = queue.Done(); strings.HasPrefix(r.Addr, "gone@") {
			results[i] = queue.Fail(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "gone"})
		}
	}
	slices.Sort(to)
	w.sent <- "<" + m.From + "> to " + strings.Join(to, " ")
	return results
}

// The mail to a group with an owner has the owner as its sender, and the owner gets
// the reports. Groups with owners that contain each other end. No recipient gets the mail
// twice.
func TestAliasOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustAliases(t, `
list@example.com: gone@example.com, bob@example.com, dave@example.com, other@example.com
owner-list@example.com: alice@example.com
other@example.com: erin@example.com, list@example.com
owner-other@example.com: erin@example.com
loop@example.com: loop2@example.com
loop2@example.com: loop@example.com
owner-loop@example.com: alice@example.com
self@example.com: self@example.com
owner-self@example.com: alice@example.com
desk@example.com: desk@example.com, bob@example.com
owner-desk@example.com: alice@example.com
office@example.com: desk@example.com, dave@example.com
owner-office@example.com: alice@example.com
`)
		w := listWorld{a, make(chan string, 100)}
		q := &queue.Queue{Store: new(memory.Store), Deliverer: w, Hooks: []queue.Hook{a.Hook()}, Hostname: "relay.example.com"}
		a.Queue = q
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx) }()
		submit := func(to ...string) []string {
			t.Helper()
			m := &queue.Message{From: "x@example.net", Recipients: queue.Rcpt(to...), Content: queue.String("Subject: x\r\n\r\nx\r\n")}
			if err := q.Submit(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			var got []string
			for len(w.sent) > 0 {
				got = append(got, <-w.sent)
			}
			slices.Sort(got)
			return got
		}
		check := func(got []string, want ...string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		check(submit("list@example.com", "dave@example.com"),
			"<> to alice@example.com", // the report about gone
			"<owner-list@example.com> to bob@example.com erin@example.com gone@example.com",
			"<x@example.net> to dave@example.com")
		check(submit("other@example.com"),
			"<> to erin@example.com",
			"<owner-other@example.com> to bob@example.com dave@example.com erin@example.com gone@example.com")
		check(submit("loop@example.com"), "<> to x@example.net") // 5.4.6

		// The mailbox of a group that has itself as a member.
		check(submit("self@example.com"), "<owner-self@example.com> to self@example.com")
		check(submit("desk@example.com"), "<owner-desk@example.com> to bob@example.com desk@example.com")
		check(submit("desk@example.com", "bob@example.com"), "<owner-desk@example.com> to desk@example.com", "<x@example.net> to bob@example.com")
		check(submit("office@example.com"), "<owner-office@example.com> to bob@example.com dave@example.com desk@example.com")
		check(submit("office@example.com", "desk@example.com"),
			"<owner-desk@example.com> to bob@example.com desk@example.com",
			"<owner-office@example.com> to bob@example.com dave@example.com")
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A repeated attempt submits no second message.
func TestAliasOwnerIsIdempotent(t *testing.T) {
	a := mustAliases(t, "list@example.com: bob@example.com\nowner-list@example.com: alice@example.com")
	store := map[string]bool{}
	a.Queue = submitFunc(func(m *queue.Message) error {
		if store[m.ID] {
			return queue.ErrExists
		}
		store[m.ID] = true
		return queue.ValidID(m.ID)
	})
	m := &queue.Message{ID: "m1", From: "x@example.net", Recipients: queue.Rcpt("list@example.com"), Content: queue.String("A: b\r\n")}
	for range 2 {
		if r := a.Deliver(t.Context(), m, m.Recipients); len(r) != 1 || r[0].Outcome != queue.Success || !r[0].Final {
			t.Errorf("%+v", r)
		}
	}
	other := *m
	other.ID = "m2"
	a.Deliver(t.Context(), &other, other.Recipients)
	if len(store) != 2 {
		t.Errorf("%d messages", len(store))
	}
	a.Queue = submitFunc(func(*queue.Message) error { return errors.New("full") })
	if r := a.Deliver(t.Context(), m, m.Recipients); r[0].Outcome != queue.Deferred {
		t.Errorf("without a place: %+v", r)
	}
	ctx := queue.WithMayFinish(t.Context(), func() error { return errors.New("not any more") })
	a.Queue = submitFunc(func(*queue.Message) error { t.Error("submitted"); return nil })
	if r := a.Deliver(ctx, m, m.Recipients); r[0].Outcome != queue.Deferred {
		t.Errorf("without the lease: %+v", r)
	}
}

type submitFunc func(*queue.Message) error

func (f submitFunc) Submit(_ context.Context, m *queue.Message) error { return f(m) }

// A source that is a Directory is not asked for the members at RCPT.
func TestAliasesExists(t *testing.T) {
	a := &Aliases{Source: struct {
		aliasFunc
		Directory
	}{func(address string) (*Alias, error) { return nil, errors.New("asked for members") }, Recipients("list")}}
	for address, want := range map[string]bool{"list@example.com": true, "other@example.com": false} {
		if got, err := a.Exists(t.Context(), address); got != want || err != nil {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	a.Domains = mustDomains(t, Domain{Name: "example.com", Directory: Recipients("x")})
	if got, err := a.Exists(t.Context(), "list@example.net"); got || err != nil {
		t.Errorf("an address of another domain: %v, %v", got, err)
	}
}

// Clients may write to aliases that no other directory lists.
func TestAliasesAsDirectory(t *testing.T) {
	a := mustAliases(t, "info@example.com: alice@example.com")
	srv, _ := install(t, &Gate{Domains: []Domain{{Name: "example.com", Directory: AnyOf(Recipients("alice"), a)}}}, &smtpserver.Server{})
	srv.Talk(t, stranger, mailFrom("x@example.net", "250")+`
		C: RCPT TO:<info@example.com>
		S: 250
		C: RCPT TO:<other@example.com>
		S: 550 5.1.1
	`)
}
