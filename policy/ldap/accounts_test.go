package ldap

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
)

// fillAccounts gives passwords to users, and adds a user whose mail attribute is the name
// of another.
func (s *slapd) fillAccounts(t *testing.T) {
	t.Helper()
	c, err := ldap.DialURL(s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "carol"} {
		m := ldap.NewModifyRequest("uid="+name+","+suffix, nil)
		m.Replace("userPassword", []string{"wonderland"})
		if err := c.Modify(m); err != nil {
			t.Fatal(err)
		}
	}
	thief := ldap.NewAddRequest("uid=thief,"+suffix, nil)
	for name, value := range map[string]string{"objectClass": "inetOrgPerson", "sn": "x", "cn": "x", "mail": "bob", "userPassword": "stolen"} {
		thief.Attribute(name, []string{value})
	}
	if err := c.Add(thief); err != nil {
		t.Fatal(err)
	}
}

func (s *slapd) accounts() *Accounts {
	return &Accounts{Directory: &Directory{URLs: []string{s.tls}, BaseDN: suffix, BindDN: admin, Password: password, TLSConfig: &tls.Config{RootCAs: s.roots}}}
}

// A user logs in by a bind with each of its names, and has one name afterwards. Other
// logins are refused: also an empty password, with which a bind would succeed.
func TestSlapdLogin(t *testing.T) {
	s := startSlapd(t)
	s.fillAccounts(t)
	a := s.accounts()
	defer a.Directory.Close()
	for _, name := range []string{"alice", "ALICE", "alice@example.com", "a.liddell@example.com"} {
		account, err := a.Login(t.Context(), name, "wonderland")
		if err != nil || account.Name != "alice" || strings.Join(account.Addresses, " ") != "alice@example.com a.liddell@example.com" {
			t.Errorf("%s: %+v, %v", name, account, err)
		}
	}
	for name, pass := range map[string]string{"alice": "wonderlan", "alice@example.com": "", "": "wonderland", "nobody": "wonderland", "*": "wonderland",
		"bob@example.com": "x", "al*": "wonderland", "alice)(uid=*": "wonderland"} {
		if _, err := a.Login(t.Context(), name, pass); !errors.Is(err, ErrLogin) {
			t.Errorf("%q, %q: %v, want ErrLogin", name, pass, err)
		}
	}
	// Two entries have the name: neither can log in as the other.
	for _, name := range []string{"bob", "office@example.com"} {
		if _, err := a.Login(t.Context(), name, "stolen"); !errors.Is(err, policy.ErrAmbiguous) || errors.Is(err, ErrLogin) {
			t.Errorf("%s: %v, want ErrAmbiguous", name, err)
		}
	}
	for _, test := range []struct {
		name, sender string
		want         bool
	}{
		{"alice", "A.Liddell@EXAMPLE.com", true}, {"alice", "bob@example.com", false}, {"alice", "alice", false},
		{"nobody", "alice@example.com", false}, {"thief", "bob@example.com", false},
	} {
		if got, err := a.Owns(t.Context(), test.name, test.sender); got != test.want || err != nil {
			t.Errorf("%s, %s: %v, %v", test.name, test.sender, got, err)
		}
	}
	s.stop()
	if _, err := a.Login(t.Context(), "alice", "wonderland"); err == nil || errors.Is(err, ErrLogin) {
		t.Errorf("without a server: %v, want another error than ErrLogin", err)
	}
	if _, err := a.Owns(t.Context(), "alice", "alice@example.com"); err == nil {
		t.Error("Owns without a server succeeds")
	}
}

// Values of proxyAddresses with another scheme than SMTP, and whole domains, are not
// addresses.
func TestAddressesOfAccount(t *testing.T) {
	e := ldap.NewEntry("cn=x", map[string][]string{"samaccountname": {"Alice"}, "mail": {"a@example.com", "@example.com"},
		"proxyAddresses": {"SMTP:a@example.com", "smtp:b@example.com", "x500:/o=x/cn=a", "sip:a@example.com", `smtp:"a:b"@example.com`}})
	x := new(Accounts).account(e)
	if got := strings.Join(x.Addresses, " "); x.Name != "alice" || got != `a@example.com a@example.com b@example.com "a:b"@example.com` {
		t.Errorf("%s: %s", x.Name, got)
	}
}

func TestAccountsValidate(t *testing.T) {
	for want, a := range map[string]*Accounts{
		"Directory is not set": {},
		"without TLS":          {Directory: &Directory{URLs: []string{"ldap://localhost"}}},
		"no {name}":            {Directory: &Directory{URLs: []string{"ldaps://localhost"}}, Filter: "(uid=alice)"},
		"filter":               {Directory: &Directory{URLs: []string{"ldaps://localhost"}}, Filter: "(uid={name}"},
		"URLs is empty":        {Directory: &Directory{}},
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, d := range []*Directory{{URLs: []string{"ldap://localhost"}, StartTLS: true}, {URLs: []string{"ldap://localhost"}, AllowPlainPassword: true}} {
		if err := (&Accounts{Directory: d}).Validate(); err != nil {
			t.Error(err)
		}
	}
}
