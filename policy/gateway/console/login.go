package console

import (
	"net/http"
)

// maxLogin is the maximum size of the login form.
const maxLogin = 4 << 10

// login answers the requests that exchange the token for a cookie, and reports
// whether it has answered: GET /?token=TOKEN, which removes the token from the
// address bar and the history, and POST /login, the form on the page of error
// 401. Both paths have one segment: see token.keep.
func (x *call) login() (done bool, err error) {
	c := x.console
	if c.Authorize != nil {
		return false, nil
	}
	if _, is := peerOf(x.r); is {
		return false, nil
	}
	var given string
	switch query := x.r.URL.Query(); {
	case x.r.Method == http.MethodGet && x.path == firstPage && query.Has("token"):
		given = query.Get("token")
	case x.r.Method == http.MethodPost && (x.path == "/login" || x.path == "/logout"):
		if err := c.checkHost(x.r); err != nil {
			return true, err
		}
		if err := c.cross.Check(x.r); err != nil {
			return true, refuse(http.StatusForbidden, "The request comes from another website.")
		}
		// The client has no access yet.
		x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxLogin)
		form, err := readForm(x.w, x.r, false)
		if err != nil {
			return true, err
		}
		given = form.Get("token")
	default:
		return false, nil
	}
	if err := c.checkHost(x.r); err != nil {
		return true, err
	}
	encrypted := x.r.TLS != nil || x.r.Header.Get("X-Forwarded-Proto") == "https"
	if x.path == "/logout" {
		c.token.drop(x.w, encrypted)
		x.redirect("./")
		return true, nil
	}
	if err := c.token.check(given); err != nil {
		return true, err
	}
	c.token.keep(x.w, encrypted)
	x.redirect("./")
	return true, nil
}
