package console

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// A route is one thing that the console can do. To add a page:
//
//  1. Write the handler in a file of its own: a struct with the parameters (tags
//     "param" and "doc", see decode), a struct with the view (tags "json" and,
//     if the name does not say enough, "doc"), and a function that makes the
//     view from the parameters.
//  2. Write a template with the name of the page in the folder templates. It
//     defines "main" and gets a *page.
//  3. Add the route to the table in routes.go. If nav is set, it is in the menu.
//
// The rest follows from the table: JSON, the OpenAPI document, roles, errors,
// escaping, and for an action the confirmation and the audit log.
type route struct {
	method, path string // path may have one segment "{id}"
	role         Role   // that a client needs
	summary      string // for the OpenAPI document
	nav          string // the text in the menu
	title        string // of the page
	template     string // of the page
	bound        boundKind
	upload       bool // the body may have a file
	report       bool // see report

	params reflect.Type // a struct
	view   reflect.Type // a struct, or nil
	media  string       // the media type of an answer that is not JSON

	// handle answers the request. It returns the view, or nil if it has written
	// the answer.
	handle func(*call) (any, error)
}

// view is a route with a page: a GET that returns a view.
func view[P, V any](path, title, template, summary string, handle func(*call, P) (*V, error)) route {
	return route{
		method: http.MethodGet, path: path, role: Viewer, title: title, template: template, summary: summary,
		params: reflect.TypeFor[P](), view: reflect.TypeFor[V](),
		handle: func(x *call) (any, error) {
			p, err := decode[P](x)
			if err != nil {
				return nil, err
			}
			return handle(x, p)
		},
	}
}

// raw is a GET that writes its answer itself, in the media type.
func raw[P any](path, media, summary string, handle func(*call, P) error) route {
	return route{
		method: http.MethodGet, path: path, role: Viewer, summary: summary, media: media,
		params: reflect.TypeFor[P](),
		handle: func(x *call) (any, error) {
			p, err := decode[P](x)
			if err != nil {
				return nil, err
			}
			return nil, handle(x, p)
		},
	}
}

// inMenu returns the route with a text in the menu.
func (r route) inMenu(text string) route { r.nav = text; return r }

// forOperators returns the route for operators only.
func (r route) forOperators() route { r.role = Operator; return r }

// bounded returns the route with a limit on the requests at the same time.
func (r route) bounded(k boundKind) route { r.bound = k; return r }

// withUpload returns the route for forms with a file (multipart/form-data).
func (r route) withUpload() route { r.upload = true; return r }

// A router finds the route of a path.
type router struct{ routes []route }

func newRouter(routes []route) router { return router{routes} }

// find returns the route for a method and a path, which begins with "/" and is
// escaped, and the value of its segment {id}. The error is a *problem.
func (r router) find(method, path string) (*route, string, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allow []string
	for i := range r.routes {
		id, matches := match(r.routes[i].path, path)
		if !matches {
			continue
		}
		if r.routes[i].method == method {
			return &r.routes[i], id, nil
		}
		allow = append(allow, r.routes[i].method)
	}
	if len(allow) > 0 {
		return nil, "", &problem{Status: http.StatusMethodNotAllowed, Detail: "This path does not have the method " + inert(method) + ".", allow: strings.Join(allow, ", ")}
	}
	return nil, "", refuse(http.StatusNotFound, "There is no such page.")
}

// match reports whether a path matches a pattern, and returns the segment {id}.
func match(pattern, path string) (id string, matches bool) {
	before, after, has := strings.Cut(pattern, "{id}")
	if !has {
		return "", pattern == path
	}
	rest, ok := strings.CutPrefix(path, before)
	segment, ok2 := strings.CutSuffix(rest, after)
	if !ok || !ok2 || segment == "" || strings.Contains(segment, "/") {
		return "", false
	}
	id, err := url.PathUnescape(segment)
	return id, err == nil
}
