package console

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

const (
	apiPrefix = "/api/v1"
	firstPage = "/overview" // also "/"
	// maxBody is the maximum size of the body of a request. It has room for the
	// IDs of maxSelected messages.
	maxBody = 1 << 20
	// maxUpload is the maximum size of the body of a request with a file.
	maxUpload = 16 << 20
	// maxQuery is the maximum length of the query of a URL.
	maxQuery = 32 << 10
	// maxDepth is the maximum number of segments of a path below the console.
	maxDepth = 16
	// maxTime is how long a request that is not a stream may take.
	maxTime = 30 * time.Second
)

// A call is one request and its answer. It lives as long as the request.
type call struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request

	path   string // below the Prefix and apiPrefix, escaped
	base   string // the relative URL of the console: "./", "../", ...
	json   bool   // the answer is JSON
	id     string // the segment {id} of the path
	route  *route
	access Access
	form   url.Values // the parameters
}

func (x *call) ctx() context.Context { return x.r.Context() }

// viewer reports whether the client is not an operator: it sees no content of
// messages and no account names.
func (x *call) viewer() bool { return x.access.Role != Operator }

// hidesSubjects reports whether the client may not see subjects.
func (x *call) hidesSubjects() bool { return x.viewer() && x.console.HideSubjects }

// serve answers the request.
func (x *call) serve() (err error) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			x.console.log.Error("console: a handler panicked", "path", x.path, "panic", p, "stack", string(debug.Stack()))
			err = refuse(http.StatusInternalServerError, errInternal)
		}
	}()
	if !x.locate() {
		return nil
	}
	if serveAsset(x) || x.serveHealth() {
		return nil
	}
	if len(x.r.URL.RawQuery) > maxQuery {
		return refuse(http.StatusRequestURITooLong, "The query of the URL is too long.")
	}
	if done, err := x.login(); done || err != nil {
		return err
	}
	if x.access, err = x.console.authorize(x.r); err != nil {
		return err
	}
	if x.route, x.id, err = x.console.router.find(x.r.Method, x.path); err != nil {
		return err
	}
	if x.access.Role < x.route.role {
		return refuse(http.StatusForbidden, "This needs the role "+x.route.role.String()+".")
	}
	if err := x.console.cross.Check(x.r); err != nil || isEmbedded(x.r) {
		return refuse(http.StatusForbidden, "The request comes from another website.")
	}
	release, err := x.console.bounds.take(x.route.bound)
	if err != nil {
		return err
	}
	defer release()
	if x.form, err = readForm(x.w, x.r, x.route.upload); err != nil {
		return err
	}
	if x.route.bound != boundStream {
		ctx, cancel := context.WithTimeout(x.r.Context(), maxTime)
		defer cancel()
		x.r = x.r.WithContext(ctx)
	}
	if x.route.bound == boundStream && x.r.Method == http.MethodHead {
		newStream(x).close() // the header is all that the client gets
		return nil
	}
	view, err := x.route.handle(x)
	if err != nil || view == nil {
		return err
	}
	release() // a client that reads slowly must not keep a place
	return x.answer(view)
}

// isEmbedded reports whether the page of another website makes the request: as an
// image, a stream, or from its script. It could not read the answer, but it could take
// the places of streams and searches, and measure the time of an answer. A link from
// another website is not such a request. A browser without Fetch Metadata does not
// tell.
func isEmbedded(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	}
	return false
}

// serveHealth answers the health checks, and reports whether it has answered.
// They need no access: the programs that start the relay have none.
func (x *call) serveHealth() bool {
	switch x.path {
	case "/healthz":
		x.console.Gateway.Healthz(x.w, x.r)
	case "/readyz":
		x.console.Gateway.Readyz(x.w, x.r)
	default:
		return false
	}
	return true
}

// locate finds the path of the request below the prefix, and the form of the
// answer. It redirects PREFIX to PREFIX/, because links are relative.
func (x *call) locate() bool {
	path := x.r.URL.EscapedPath()
	if prefix := strings.TrimSuffix(x.console.Prefix, "/"); prefix != "" {
		if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	if path == "" {
		last := x.r.URL.Path[strings.LastIndexByte(x.r.URL.Path, '/')+1:]
		x.redirect("./" + url.PathEscape(last) + "/")
		return false
	}
	if path[0] != '/' { // "GET * HTTP/1.1"
		path = "/" + path
	}
	// No page is as deep as maxDepth. Each link of the page of the error would
	// otherwise be as long as the path.
	x.base = cmp.Or(strings.Repeat("../", min(strings.Count(path, "/")-1, maxDepth)), "./")
	if x.json = strings.HasPrefix(path, apiPrefix+"/"); x.json {
		path = path[len(apiPrefix):]
	} else {
		x.json = acceptsJSON(x.r.Header.Get("Accept"))
	}
	if path == "/" {
		path = firstPage
	}
	x.path = path
	return true
}

// acceptsJSON reports whether the Accept field names JSON, but not HTML.
func acceptsJSON(accept string) bool {
	json := false
	for part := range strings.SplitSeq(accept, ",") {
		switch kind, _, _ := mime.ParseMediaType(part); kind {
		case "text/html":
			return false
		case "application/json", "application/problem+json":
			json = true
		}
	}
	return json
}

// redirect sends the browser to a relative URL, with GET.
func (x *call) redirect(to string) {
	x.w.Header().Set("Location", to)
	x.w.WriteHeader(http.StatusSeeOther)
}

// link returns the relative URL of a page of the console. path begins with "/".
// Names and values of the query follow. Values that are empty are left out.
func (x *call) link(path string, query ...any) string {
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		if text := fmt.Sprint(query[i+1]); text != "" {
			values.Add(fmt.Sprint(query[i]), text)
		}
	}
	if path == firstPage {
		path = "/"
	}
	to := x.base + strings.TrimPrefix(path, "/")
	if len(values) > 0 {
		to += "?" + values.Encode()
	}
	return to
}

// secure sets the header fields that each answer has.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: with it, a browser sends "Origin: null" with each form
	// (Fetch, 3.2), and the console could not tell its own forms from those of
	// other websites where there is no Sec-Fetch-Site, on http without loopback.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
