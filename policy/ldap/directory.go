package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
)

// DefaultFilter finds users, groups and contacts by their mail attribute, and by
// the additional addresses of Active Directory (proxyAddresses).
const DefaultFilter = "(|(mail={address})(proxyAddresses=smtp:{address}))"

// A Directory looks up recipients in LDAP servers. It implements policy.Directory.
// It is safe for concurrent use; its fields must not change after the first use.
type Directory struct {
	// URLs are the URLs of the servers: "ldaps://host:port" or "ldap://host:port".
	// The servers are tried in this order.
	URLs []string
	// BaseDN is the root of the search. The search includes the whole subtree.
	BaseDN string
	// Filter is the search filter (RFC 4515). {address}, {local} and {domain} are
	// replaced by the address and its parts, escaped. Default: DefaultFilter.
	Filter string
	// BindDN and Password are the credentials. If both are empty, the search is
	// anonymous.
	BindDN, Password string
	// StartTLS encrypts ldap:// connections with StartTLS before login and search.
	StartTLS bool
	// TLSConfig is used for ldaps:// and StartTLS. Default: the certificate of the
	// server must be valid for its host name.
	TLSConfig *tls.Config
	// AllowPlainPassword allows the password to be sent without TLS. Otherwise
	// such a configuration is an error.
	AllowPlainPassword bool
	// IgnoreReferrals ignores referrals to other servers for parts of BaseDN.
	// Recipients that only those servers know then do not exist. By default, a
	// referral is an error if no entry is found, because the Directory does not
	// follow it. To avoid referrals, search a server that has all recipients,
	// such as the global catalog of Active Directory ("ldaps://dc1:3269").
	// Referrals to the DNS zones and the configuration of Active Directory are
	// always ignored, because those contain no recipients.
	IgnoreReferrals bool
	// AllowSeveral accepts an address that several entries have, for example where
	// each member of an alias has it. By default such an address is ambiguous:
	// Exchange refuses mail for it, because two mailboxes claim it.
	AllowSeveral bool
	// Timeout limits the duration of one lookup, including all servers that are
	// tried. Default: 10 seconds.
	Timeout time.Duration
	// MaxConnections is the maximum number of concurrent connections. Further
	// lookups wait. Default: 4.
	MaxConnections int

	once  sync.Once
	err   error         // the error of Validate
	slots chan struct{} // one element for each connection in use
	mu    sync.Mutex    // guards idle and shut
	idle  []*ldap.Conn  // the most recently used connection is last
	shut  bool
}

// Validate returns an error if a setting is invalid. It does not connect to a
// server.
func (d *Directory) Validate() error {
	if len(d.URLs) == 0 {
		return errors.New("ldap: Directory.URLs is empty")
	}
	for _, s := range d.URLs {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" {
			return fmt.Errorf("ldap: URL %q is neither ldap://host nor ldaps://host", s)
		}
		if d.Password != "" && u.Scheme == "ldap" && !d.StartTLS && !d.AllowPlainPassword {
			return fmt.Errorf("ldap: the password would be sent to %s without TLS: use ldaps, StartTLS or AllowPlainPassword", s)
		}
	}
	if (d.BindDN == "") != (d.Password == "") {
		// A login with a name and an empty password succeeds as an anonymous one
		// (RFC 4513, 5.1.2).
		return errors.New("ldap: set both BindDN and Password, or neither")
	}
	if _, err := ldap.CompileFilter(d.filter("a@example.com")); err != nil {
		return fmt.Errorf("ldap: filter %q: %w", d.Filter, err)
	}
	return nil
}

func (d *Directory) filter(address string) string {
	f := d.Filter
	if f == "" {
		f = DefaultFilter
	}
	local, domain := address, ""
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		local, domain = address[:i], address[i+1:]
	}
	return strings.NewReplacer("{address}", ldap.EscapeFilter(address),
		"{local}", ldap.EscapeFilter(local), "{domain}", ldap.EscapeFilter(domain)).Replace(f)
}

// Exists implements policy.Directory. It reports whether an entry matches Filter.
// It returns an error if the settings are invalid, no server answers within
// Timeout, or a server returns a referral; see IgnoreReferrals. If several entries
// match, the error wraps policy.ErrAmbiguous, and the client gets 550 5.1.4; see
// AllowSeveral.
func (d *Directory) Exists(ctx context.Context, address string) (bool, error) {
	var found bool
	err := d.with(ctx, func(ctx context.Context, c *ldap.Conn) (err error) {
		found, err = d.search(ctx, c, address)
		return err
	})
	return found, err
}

// with calls f with a connection. If there is none, or f fails because the server
// does not answer, it calls f with one to the first server that answers.
func (d *Directory) with(ctx context.Context, f func(ctx context.Context, c *ldap.Conn) error) error {
	return d.limited(ctx, func(ctx context.Context) error { return d.ask(ctx, f) })
}

// limited calls f within Timeout when fewer than MaxConnections are in use.
func (d *Directory) limited(ctx context.Context, f func(ctx context.Context) error) error {
	d.once.Do(d.prepare)
	if d.err != nil {
		return d.err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return fmt.Errorf("ldap: all connections are busy: %w", ctx.Err())
	}
	return f(ctx)
}

// isAnswer reports whether the error of a search, or nil, is an answer of the server.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, policy.ErrAmbiguous) || errors.Is(err, policy.ErrNoMembers)
}

func (d *Directory) prepare() {
	n := d.MaxConnections
	if n <= 0 {
		n = 4
	}
	d.slots = make(chan struct{}, n)
	d.err = d.Validate()
}

func (d *Directory) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return 10 * time.Second
}

// ask calls f with an open connection. If there is none, or f fails, it uses the
// first server that answers.
func (d *Directory) ask(ctx context.Context, f func(ctx context.Context, c *ldap.Conn) error) error {
	for c := d.take(); c != nil; c = d.take() {
		// The server may not answer any more: keep half of the time for a new
		// connection.
		half, cancel := context.WithTimeout(ctx, left(ctx)/2)
		err := f(half, c)
		cancel()
		if isAnswer(err) {
			d.put(c)
			return err
		}
		// The server may be busy or may have ended the login: try a new
		// connection, and then other servers.
		c.Close()
		if ctx.Err() != nil {
			return err
		}
	}
	var errs []error
	for i, u := range d.URLs {
		c, err := d.dial(ctx, u, len(d.URLs)-i)
		if err == nil {
			if err = f(ctx, c); isAnswer(err) {
				d.put(c)
				return err
			}
			c.Close()
		}
		errs = append(errs, fmt.Errorf("ldap: %s: %w", u, err))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// dial connects and logs in. servers is the number of servers that have not been
// tried; dial uses an equal share of the remaining time.
func (d *Directory) dial(ctx context.Context, u string, servers int) (*ldap.Conn, error) {
	c, err := d.connect(ctx, u, servers)
	if err == nil && d.BindDN != "" {
		if err = c.Bind(d.BindDN, d.Password); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, err
}

// connect connects, with TLS if the settings require it.
func (d *Directory) connect(ctx context.Context, u string, servers int) (*ldap.Conn, error) {
	share := left(ctx) / time.Duration(servers)
	if share <= 0 {
		return nil, context.DeadlineExceeded
	}
	dialer := &net.Dialer{Timeout: share}
	c, err := ldap.DialURL(u, ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(d.tls(u)))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(share)
	if d.StartTLS && strings.HasPrefix(u, "ldap:") {
		err = c.StartTLS(d.tls(u))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (d *Directory) tls(u string) *tls.Config {
	c := new(tls.Config)
	if d.TLSConfig != nil {
		c = d.TLSConfig.Clone()
	}
	if parsed, err := url.Parse(u); err == nil && c.ServerName == "" {
		c.ServerName = parsed.Hostname()
	}
	return c
}

// search reports whether one entry matches.
func (d *Directory) search(ctx context.Context, c *ldap.Conn, address string) (bool, error) {
	const two = 2                                                                                       // enough to see that the address is ambiguous
	r, err := d.find(ctx, c, d.BaseDN, ldap.ScopeWholeSubtree, two, d.filter(address), []string{"1.1"}) // RFC 4511, 4.5.1.8: no attributes
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded): // more than two, or than the server allows
		return d.several()
	case err != nil:
		return false, err
	case len(r.Entries) > 1:
		return d.several()
	case len(r.Entries) == 1:
		return true, nil
	}
	return false, d.referral(r)
}

// find searches. It takes at most the time that ctx has left.
func (d *Directory) find(ctx context.Context, c *ldap.Conn, base string, scope, most int, filter string, attributes []string) (*ldap.SearchResult, error) {
	t := left(ctx)
	if t <= 0 {
		return nil, context.DeadlineExceeded
	}
	c.SetTimeout(t)
	seconds := max(1, int(t/time.Second))
	return c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, most, seconds, false, filter, attributes, nil))
}

// entry returns the entry that has the address, with attributes, or nil. The error wraps
// policy.ErrAmbiguous if several entries have it.
func (d *Directory) entry(ctx context.Context, c *ldap.Conn, address string, attributes []string) (*ldap.Entry, error) {
	const two = 2 // enough to see that the address is ambiguous
	r, err := d.find(ctx, c, d.BaseDN, ldap.ScopeWholeSubtree, two, d.filter(address), attributes)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(r.Entries) > 1:
		return nil, fmt.Errorf("ldap: %w", policy.ErrAmbiguous)
	case err != nil:
		return nil, err
	case len(r.Entries) == 1:
		return r.Entries[0], nil
	}
	return nil, d.referral(r)
}

// referral returns an error if a result without entries has a referral to another
// server, which may have the entry.
func (d *Directory) referral(r *ldap.SearchResult) error {
	for _, ref := range r.Referrals {
		if !d.IgnoreReferrals && !withoutRecipients(ref) {
			return fmt.Errorf("no entry found, and the server returned a referral to %s for a part of %q", ref, d.BaseDN)
		}
	}
	return nil
}

// several is the answer for an address that several entries have.
func (d *Directory) several() (bool, error) {
	if d.AllowSeveral {
		return true, nil
	}
	return false, fmt.Errorf("ldap: %w", policy.ErrAmbiguous)
}

// withoutRecipients reports whether a referral is for a part of Active Directory
// that has no recipients. Each domain controller returns these referrals.
func withoutRecipients(ref string) bool {
	u, err := url.Parse(ref)
	if err != nil {
		return false
	}
	dn := strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	for _, part := range []string{"dc=forestdnszones,", "dc=domaindnszones,", "cn=configuration,"} {
		if strings.HasPrefix(dn, part) {
			return true
		}
	}
	return false
}

func left(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return time.Until(deadline)
}

// take returns an open connection, or nil if there is none.
func (d *Directory) take() *ldap.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.idle) > 0 {
		c := d.idle[len(d.idle)-1]
		d.idle = d.idle[:len(d.idle)-1]
		if !c.IsClosing() {
			return c
		}
	}
	return nil
}

func (d *Directory) put(c *ldap.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		c.Close()
		return
	}
	d.idle = append(d.idle, c)
}

// Close closes the idle connections. A connection in use is closed when its
// search ends. Lookups after Close use new connections and close them. Close
// always returns nil.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for _, c := range d.idle {
		c.Close()
	}
	d.idle = nil
	return nil
}
