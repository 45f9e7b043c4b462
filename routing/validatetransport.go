package routing

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// validateTransport returns an error if a Transport of this package can deliver
// no mail. A nil Transport is valid: the Router makes one.
func validateTransport(t Transport) error {
	if settings.IsTypedNil(t) {
		return fmt.Errorf("is a nil %T", t)
	}
	switch t := t.(type) {
	case smtpTransport:
		if t.Transport == nil {
			return errors.New("SMTP: the smtpclient.Transport is nil")
		}
	case *Pipe:
		if len(t.Command) == 0 || t.Command[0] == "" {
			return errors.New("Pipe.Command is not set")
		}
	case *DropDir:
		if t.Dir == "" {
			return errors.New("DropDir.Dir is not set")
		}
	case *HTTPPost:
		u, err := url.Parse(t.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("HTTPPost.URL is not an http or https URL") // not its text: it may contain a password
		}
	}
	return nil
}
