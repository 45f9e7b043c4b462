package gssapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// A ticket is what the client needs to log in to one host.
type ticket struct {
	cname  types.PrincipalName
	crealm string
	ticket messages.Ticket
	key    types.EncryptionKey
}

const (
	// reuse is how long a ticket is used. It is short, because a host refuses the
	// ticket after its key has changed.
	reuse = 5 * time.Minute
	// maxTickets is the number of hosts whose tickets are kept.
	maxTickets = 1000
)

// allowed are the types of keys that the client uses, the preferred one first.
var allowed = []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.AES256_CTS_HMAC_SHA384_192, etypeID.AES128_CTS_HMAC_SHA256_128}

// A request to the KDC is made once for all sessions that need the ticket.
type request struct {
	done   chan struct{} // closed when ticket and err are set
	until  time.Time     // when the ticket must not be used any more; guarded by Auth.mu
	ticket *ticket
	err    error
}

// ticket returns the ticket for a service. If ctx ends first, the request to the
// KDC continues in the background: the library waits about 10 s for each KDC.
func (a *Auth) ticket(ctx context.Context, service string) (*ticket, error) {
	r := a.requested(service)
	select {
	case <-r.done:
		return r.ticket, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// requested returns the request for a service, and makes it if there is none.
func (a *Auth) requested(service string) *request {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.tickets[service]; r != nil && (r.until.IsZero() || now.Before(r.until)) {
		return r
	}
	if len(a.tickets) >= maxTickets {
		clear(a.tickets)
	}
	if a.tickets == nil {
		a.tickets = make(map[string]*request)
	}
	r := &request{done: make(chan struct{})}
	a.tickets[service] = r
	get := a.request
	if get == nil {
		get = a.requestTicket
	}
	go func() {
		r.ticket, r.err = get(service)
		a.mu.Lock()
		r.until = now.Add(reuse)
		if r.err != nil {
			r.until = now // the next session tries again
		}
		a.mu.Unlock()
		close(r.done)
	}()
	return r
}

// requestTicket logs in to the realm and gets a ticket for the service. The
// client of the library is used once, because its renewal has no end and takes no
// context.
func (a *Auth) requestTicket(service string) (_ *ticket, err error) {
	defer func() {
		if p := recover(); p != nil { // the library can panic on malformed files and replies
			err = fmt.Errorf("gokrb5: %v", p)
		}
	}()
	conf, err := a.config()
	if err != nil {
		return nil, err
	}
	user, realm := a.Principal, conf.LibDefaults.DefaultRealm
	if i := strings.LastIndexByte(user, '@'); i >= 0 {
		user, realm = user[:i], user[i+1:]
	}
	if realm == "" {
		return nil, errors.New("neither Principal nor the configuration of Kerberos (default_realm) has a realm")
	}
	var c *client.Client
	if a.KeytabFile != "" {
		kt, err := keytab.Load(a.KeytabFile)
		if err != nil {
			return nil, fmt.Errorf("keytab: %w", err)
		}
		c = client.NewWithKeytab(user, realm, kt, conf)
	} else {
		c = client.NewWithPassword(user, realm, a.Password, conf)
	}
	defer c.Destroy()
	if err := c.Login(); err != nil {
		return nil, err
	}
	t := &ticket{cname: c.Credentials.CName(), crealm: c.Credentials.Realm()}
	t.ticket, t.key, err = c.GetServiceTicket(service)
	return t, err
}

// config reads the configuration of Kerberos.
func (a *Auth) config() (*config.Config, error) {
	name := a.Config
	if name == "" {
		name = "/etc/krb5.conf"
	}
	conf, err := config.Load(name)
	if err != nil {
		var unsupported config.UnsupportedDirective
		if !errors.As(err, &unsupported) { // include, includedir, v4 settings: the rest is usable
			return nil, fmt.Errorf("configuration of Kerberos: %w", err)
		}
	}
	d := &conf.LibDefaults
	d.DefaultTktEnctypeIDs, d.DefaultTGSEnctypeIDs, d.PermittedEnctypeIDs = allowed, allowed, allowed
	return conf, nil
}
