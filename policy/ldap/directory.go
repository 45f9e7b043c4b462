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
)

// DefaultFilter finds users, groups and contacts by their mail address and by
// the further ones that Active Directory knows.
const DefaultFilter = "(|(mail={address})(proxyAddresses=smtp:{address}))"

// A Directory asks LDAP servers whether a recipient exists. It implements
// policy.Directory, and is safe for concurrent use. Its fields must not change
// once it is used.
type Directory struct {
	// URLs of the servers, "ldaps://host:port" or "ldap://host:port", in the
	// order in which they are tried.
	URLs []string
	// BaseDN is where the search begins; all below it is searched.
	BaseDN string
	// Filter finds a recipient; {address}, {local} and {domain} stand for the
	// parts of the address, escaped. Default DefaultFilter.
	Filter string
	// BindDN and Password log in; both empty is an anonymous search.
	BindDN, Password string
	// StartTLS encrypts ldap:// connections before anything else is sent.
	StartTLS bool
	// TLSConfig for ldaps:// and StartTLS. Default: the server's certificate
	// must be valid for its host name.
	TLSConfig *tls.Config
	// AllowPlainPassword sends the password without TLS. Otherwise that is an
	// error.
	AllowPlainPassword bool
	// IgnoreReferrals: what the servers do not know does not exist, although
	// they refer to others for a part of what is below BaseDN. Otherwise that is
	// an error, since the others are not asked: search what knows everybody, as
	// the global catalog of Active Directory does ("ldaps://dc1:3269"). Its DNS
	// zones and configuration, which hold no recipients, are always ignored.
	IgnoreReferrals bool
	// Timeout for one question, however many servers are tried. Default 10 s.
	Timeout time.Duration
	// Connections at most at the same time. Default 4.
	Connections int

	once  sync.Once
	err   error         // what is wrong with the settings
	slots chan struct{} // one for each connection in use
	mu    sync.Mutex    // guards what follows
	idle  []*ldap.Conn  // the one used last is the last
	shut  bool
}

// Validate tells what is wrong with the settings, without asking any server.
func (d *Directory) Validate() error {
	if len(d.URLs) == 0 {
		return errors.New("ldap: no URLs")
	}
	for _, s := range d.URLs {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" {
			return fmt.Errorf("ldap: URL %q is neither ldap://host nor ldaps://host", s)
		}
		if d.Password != "" && u.Scheme == "ldap" && !d.StartTLS && !d.AllowPlainPassword {
			return fmt.Errorf("ldap: the password would go to %s in plain text: use ldaps, StartTLS or AllowPlainPassword", s)
		}
	}
	if (d.BindDN == "") != (d.Password == "") {
		// A name without a password would count as an anonymous login that
		// succeeds (RFC 4513, 5.1.2).
		return errors.New("ldap: BindDN and Password belong together")
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

// Exists implements policy.Directory.
func (d *Directory) Exists(ctx context.Context, address string) (bool, error) {
	d.once.Do(d.prepare)
	if d.err != nil {
		return false, d.err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return false, fmt.Errorf("ldap: all connections are busy: %w", ctx.Err())
	}
	return d.ask(ctx, address)
}

func (d *Directory) prepare() {
	n := d.Connections
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

// ask uses a connection that is open already or, where there is none or the
// server has closed it meanwhile, the first server that answers.
func (d *Directory) ask(ctx context.Context, address string) (bool, error) {
	for c := d.take(); c != nil; c = d.take() {
		// The server may have vanished behind it: half of the time is for a
		// new one.
		found, err := d.search(c, address, left(ctx)/2)
		if err == nil {
			d.put(c)
			return found, nil
		}
		// Or it is busy, or has logged us out: a new connection tells, and
		// perhaps another server.
		c.Close()
		if ctx.Err() != nil {
			return false, err
		}
	}
	var errs []error
	for i, u := range d.URLs {
		c, err := d.dial(ctx, u, len(d.URLs)-i)
		if err == nil {
			var found bool
			if found, err = d.search(c, address, left(ctx)); err == nil {
				d.put(c)
				return found, nil
			}
			c.Close()
		}
		errs = append(errs, fmt.Errorf("ldap: %s: %w", u, err))
		if ctx.Err() != nil {
			break
		}
	}
	return false, errors.Join(errs...)
}

// dial connects and logs in, in an equal share of the time that is left for
// so many servers.
func (d *Directory) dial(ctx context.Context, u string, servers int) (*ldap.Conn, error) {
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
	if err == nil && d.BindDN != "" {
		err = c.Bind(d.BindDN, d.Password)
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

// search says, in the time t, whether at least one entry fits.
func (d *Directory) search(c *ldap.Conn, address string, t time.Duration) (bool, error) {
	if t <= 0 {
		return false, context.DeadlineExceeded
	}
	c.SetTimeout(t)
	const one = 1
	seconds := max(1, int(t/time.Second))
	r, err := c.Search(ldap.NewSearchRequest(d.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		one, seconds, true, d.filter(address), []string{"1.1"}, nil)) // RFC 4511, 4.5.1.8: no attributes
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return true, nil // more than one
	case err != nil:
		return false, err
	}
	if len(r.Entries) > 0 {
		return true, nil
	}
	for _, ref := range r.Referrals {
		if !d.IgnoreReferrals && !withoutRecipients(ref) {
			return false, fmt.Errorf("the server refers to %s for a part of %q, where nobody was asked", ref, d.BaseDN)
		}
	}
	return false, nil
}

// withoutRecipients tells the parts of Active Directory that are on every
// domain controller's list of referrals.
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

// take is an open connection, nil when there is none.
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

// Close closes the open connections, and those in use once they are done.
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
