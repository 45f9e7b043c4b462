package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// fillGroups adds groups, a contact, a mailbox on another host and an alias.
func (s *slapd) fillGroups(t *testing.T) {
	t.Helper()
	c, err := ldap.DialURL(s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	dn := func(rdn string) string { return rdn + "," + suffix }
	add := func(rdn string, attributes ...string) {
		t.Helper()
		e := ldap.NewAddRequest(dn(rdn), nil)
		values := map[string][]string{"objectClass": {"extensibleObject"}}
		for _, a := range attributes {
			name, value, _ := strings.Cut(a, "=")
			values[name] = append(values[name], value)
		}
		for name, list := range values {
			e.Attribute(name, list)
		}
		if err := c.Add(e); err != nil {
			t.Fatalf("%s: %v", rdn, err)
		}
	}
	person := func(uid string, attributes ...string) {
		t.Helper()
		add("uid="+uid, append([]string{"objectClass=inetOrgPerson", "sn=x", "cn=x"}, attributes...)...)
	}
	person("partner", "mail=partner@example.com", "mailRoutingAddress=SMTP:someone@example.net")
	person("far", "mail=far@example.com", "mail=f@example.com", "mailHost=Mail2.example.com")
	person("silent")
	add("cn=sales", "objectClass=groupOfNames", "mail=sales@example.com", "owner="+dn("uid=bob"),
		"member="+dn("uid=alice"), "member="+dn("cn=nested"), "member="+dn("uid=silent"), "member="+dn("uid=nobody"))
	add("cn=nested", "objectClass=groupOfNames", "mail=nested@example.com",
		"member="+dn("uid=bob"), "member="+dn("cn=sales"), "member="+dn("uid=partner"), "member="+dn("uid=far"), "member="+dn("uid=alice"))
	add("cn=old", "objectClass=nisMailAlias", "mail=old@example.com", "rfc822MailMember=alice@example.com", "rfc822MailMember=x400:c=us")
	add("cn=empty", "objectClass=groupOfNames", "mail=empty@example.com", "member="+dn("uid=silent"))
	// Malformed addresses: the other members get the mail, and the group has no owner.
	person("typo1", "mail=bob smith@example.com")
	person("typo2", "mailRoutingAddress=Carol <carol@example.net>", "mail=carol@example.com")
	add("cn=typo", "objectClass=groupOfNames", "mail=typo@example.com", "owner="+dn("uid=typo1"),
		"member="+dn("uid=typo1"), "member="+dn("uid=typo2"), "member="+dn("uid=bob"), "rfc822MailMember=a@b@c")
	add("cn=listed", "objectClass=groupOfNames", "mail=listed@example.com", "owner="+dn("uid=silent"), "member="+dn("uid=bob"))
}

// Groups, contacts and mailboxes on other hosts in a real server.
func TestSlapdAliases(t *testing.T) {
	s := startSlapd(t)
	s.fillGroups(t)
	d := &Directory{URLs: []string{s.plain}, BaseDN: suffix, BindDN: admin, Password: password, AllowPlainPassword: true}
	defer d.Close()
	source := &Aliases{Directory: d, Contact: []string{"mailRoutingAddress"}}
	if err := source.Validate(); err != nil {
		t.Fatal(err)
	}
	hook := (&policy.Aliases{Source: source}).Hook()
	expand := func(to string) (string, error) {
		m := &queue.Message{From: "x@example.net", Recipients: queue.Rcpt(to)}
		err := hook.Resolved(t.Context(), m)
		var all []string
		for _, r := range m.Recipients {
			if r.Status == queue.Waiting {
				all = append(all, strings.TrimSuffix(r.Addr+" over "+r.Route.String(), " over "))
			}
		}
		slices.Sort(all)
		return strings.Join(all, ", "), err
	}
	const far = "far@example.com over mail2.example.com"
	for to, want := range map[string]string{
		"bob@example.com":     "bob@example.com",
		"Partner@example.com": "someone@example.net",
		"far@example.com":     far,
		"F@example.com":       "F@example.com over mail2.example.com",
		"old@example.com":     "alice@example.com",
		"sales@example.com":   "alice@example.com, bob@example.com, " + far + ", someone@example.net",
		"nested@example.com":  "alice@example.com, bob@example.com, " + far + ", someone@example.net",
		"mallory@example.com": "mallory@example.com",
		"x@example.net":       "x@example.net",
	} {
		if got, err := expand(to); err != nil || got != want {
			t.Errorf("%s becomes %s, %v; want %s", to, got, err, want)
		}
	}
	if _, err := expand("office@example.com"); !errors.Is(err, policy.ErrAmbiguous) {
		t.Errorf("an address of two entries: %v", err)
	}
	if _, err := expand("empty@example.com"); !errors.Is(err, policy.ErrNoMembers) {
		t.Errorf("an empty group: %v", err)
	}
	exists := &policy.Aliases{Source: source}
	for to, want := range map[string]bool{"partner@example.com": true, "far@example.com": true, "bob@example.com": false, "old@example.com": true,
		"sales@example.com": true, "empty@example.com": false, "typo@example.com": true, "mallory@example.com": false} {
		if got, err := exists.Exists(t.Context(), to); err != nil || got != want {
			t.Errorf("%s exists: %v, %v", to, got, err)
		}
	}
	if _, err := exists.Exists(t.Context(), "office@example.com"); !errors.Is(err, policy.ErrAmbiguous) {
		t.Errorf("an address of two entries exists: %v", err)
	}
	if n := len(d.idle); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}

	owned := &Aliases{Directory: d, Contact: []string{"mailRoutingAddress"}, Owner: "owner", MaxMembers: 3, Primary: true, Route: func(host string) queue.NextHop { return queue.NextHop{Connector: host} }}
	for _, tt := range []struct {
		to   string
		want string
	}{
		{"typo@example.com", "&{Members:[] Mailboxes:[bob@example.com] Owner: Hidden:false Route:}"},
		{"listed@example.com", "&{Members:[] Mailboxes:[bob@example.com] Owner: Hidden:false Route:}"},
		{"f@example.com", "&{Members:[far@example.com] Mailboxes:[] Owner: Hidden:false Route:}"},
		{"far@example.com", "&{Members:[] Mailboxes:[] Owner: Hidden:false Route:via Mail2.example.com}"},
	} {
		got, err := owned.Alias(t.Context(), tt.to)
		if text := fmt.Sprintf("%+v", got); err != nil || text != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.to, text, err, tt.want)
		}
	}
	if _, err := owned.Alias(t.Context(), "nested@example.com"); err == nil || !strings.Contains(err.Error(), "more than 3 members") {
		t.Errorf("a group of five: %v", err)
	}
	if ok, err := owned.Exists(t.Context(), "nested@example.com"); !ok || err != nil { // it does not read all members
		t.Errorf("a group of five exists: %v, %v", ok, err)
	}
	owned.MaxMembers = 0
	if got, err := owned.Alias(t.Context(), "sales@example.com"); err != nil || got.Owner != "bob@example.com" {
		t.Errorf("owner: %+v, %v", got, err)
	}
	s.stop()
	if _, err := expand("sales@example.com"); err == nil || errors.Is(err, policy.ErrNoMembers) {
		t.Errorf("without a server: %v", err)
	}
}

// Active Directory returns the members of a large group in ranges.
func TestRangeOf(t *testing.T) {
	entry := func(name string) *ldap.Entry { return ldap.NewEntry("cn=g", map[string][]string{name: {"a", "b"}}) }
	for name, want := range map[string]int{
		"member;range=0-1499": 1500, "MEMBER;Range=1500-2999": 3000, "member;range=3000-*": 0, "member": 0, "other;range=0-9": 0, "member;x": 0, "member;range=": 0,
	} {
		if values, next := rangeOf(entry(name), "member"); next != want || next > 0 && len(values) != 2 {
			t.Errorf("%s: %v, %d", name, values, next)
		}
	}
}

func TestAliasesValidate(t *testing.T) {
	d := &Directory{URLs: []string{"ldap://localhost"}}
	for want, a := range map[string]*Aliases{
		"Directory is not set":  {},
		"MaxMembers is neg":     {Directory: d, MaxMembers: -1},
		"not the name of an at": {Directory: d, Host: "mail host"},
		"URLs is empty":         {Directory: &Directory{}},
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := (&Aliases{Directory: d}).Validate(); err != nil {
		t.Error(err)
	}
}

// Values of attributes with and without a type.
func TestAddresses(t *testing.T) {
	got := addresses([]string{"SMTP:a@example.com", "smtp:b@example.com", "c@example.com", "X400:c=us", "x500:/o=x@y", "", "nobody"})
	if want := []string{"a@example.com", "b@example.com", "c@example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
