package console

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxParameters is the maximum number of values in a request.
const maxParameters = 2 * maxSelected

// maxValue is the maximum size of a value in bytes. It has room for each address,
// subject and key of a next hop. A pattern is compared with each message, so a
// long one would cost much.
const maxValue = 4 << 10

// maxParts is the maximum number of parameters in a form with a file.
const maxParts = 20

// readForm returns the parameters of a request. Those of a GET are in its query.
// Those of a POST are in its body: a form, or a JSON object whose values are
// strings, numbers, booleans or arrays of them. With upload, it can also be a
// form with a file.
func readForm(w http.ResponseWriter, r *http.Request, upload bool) (form url.Values, err error) {
	if r.Method != http.MethodPost {
		if form, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			err = refuse(http.StatusBadRequest, "The query of the URL cannot be read: "+err.Error())
		}
	} else {
		most := int64(maxBody)
		if upload {
			most = maxUpload
		}
		form, err = readBody(http.MaxBytesReader(w, r.Body, most), r.Header.Get("Content-Type"), upload)
	}
	if err != nil {
		return nil, err
	}
	n := 0
	for _, values := range form {
		n += len(values)
	}
	if n > maxParameters {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("The request has more than %d values.", maxParameters))
	}
	return form, nil
}

func readBody(r io.Reader, contentType string, upload bool) (url.Values, error) {
	kind, params, _ := mime.ParseMediaType(contentType)
	if upload && kind == "multipart/form-data" {
		return readMultipart(multipart.NewReader(r, params["boundary"]))
	}
	body, err := io.ReadAll(r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil: // the client was too slow, or has gone
		return nil, refuse(http.StatusBadRequest, "The body cannot be read: "+err.Error())
	}
	switch {
	case kind == "application/json":
		return readJSON(body)
	case kind == "application/x-www-form-urlencoded", kind == "" && len(body) == 0:
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "The form cannot be read: "+err.Error())
		}
		return form, nil
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "The body must be application/json or application/x-www-form-urlencoded.")
}

// readMultipart reads a form with a file. The value of a file is its content.
func readMultipart(r *multipart.Reader) (url.Values, error) {
	form := url.Values{}
	for n := 0; ; n++ {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return form, nil
		}
		var body []byte
		if err == nil {
			body, err = io.ReadAll(part)
		}
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			return nil, err
		case err != nil:
			return nil, refuse(http.StatusBadRequest, "The form cannot be read: "+err.Error())
		case n >= maxParts:
			return nil, refuse(http.StatusBadRequest, fmt.Sprintf("The form has more than %d parts.", maxParts))
		}
		form.Add(part.FormName(), string(body))
	}
}

func readJSON(body []byte) (url.Values, error) {
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, refuse(http.StatusBadRequest, "The body is not a JSON object: "+err.Error())
	}
	form := url.Values{}
	for name, value := range object {
		list, is := value.([]any)
		if !is {
			list = []any{value}
		}
		for _, one := range list {
			switch v := one.(type) {
			case string:
				form.Add(name, v)
			case bool:
				form.Add(name, map[bool]string{true: "yes", false: ""}[v])
			case float64:
				form.Add(name, strconv.FormatFloat(v, 'f', -1, 64))
			case nil:
			default:
				return nil, wrongParameter(name, "an object is not possible here")
			}
		}
	}
	return form, nil
}

// common are parameters that the frame reads, and not the handler.
var common = map[string]bool{"confirm": true, "reason": true, "done": true}

// decode returns the parameters of a request as a struct. The tag "param" of a
// field is the name of its parameter. A field may be a string, a []string, an
// int, an int64, a bool, a time.Time, or a type with UnmarshalText. An empty
// value is the zero value. A parameter that the struct does not have is an error:
// a filter with a mistake in a name would otherwise select too much.
func decode[P any](x *call) (p P, err error) {
	known := map[string]bool{}
	v := reflect.ValueOf(&p).Elem()
	for _, f := range fieldsOf(v.Type(), "param") {
		known[f.name] = true
		values := x.form[f.name]
		if f.name == "id" && x.id != "" {
			values = []string{x.id}
		}
		if len(values) == 0 {
			continue
		}
		if !(x.route.upload && f.name == fileParam) && slices.ContainsFunc(values, func(v string) bool { return len(v) > maxValue }) {
			return p, wrongParameter(f.name, fmt.Sprintf("it has more than %d bytes", maxValue))
		}
		field := v.FieldByIndex(f.index)
		if field.Kind() == reflect.Slice {
			field.Set(reflect.ValueOf(values))
			continue
		}
		if len(values) > 1 {
			return p, wrongParameter(f.name, "it has more than one value")
		}
		if text := strings.TrimSpace(values[0]); text != "" {
			if err := setField(field, text); err != nil {
				return p, wrongParameter(f.name, err.Error())
			}
		}
	}
	for name := range x.form {
		if !known[name] && !common[name] {
			return p, wrongParameter(name, "this page does not have such a parameter")
		}
	}
	return p, nil
}

// timeForms are the forms of a time: RFC 3339, and those of the input fields of
// a browser, in UTC.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// setField sets a field to the value of a text.
func setField(field reflect.Value, text string) error {
	switch to := field.Addr().Interface().(type) {
	case *string:
		*to = text
	case *bool:
		switch strings.ToLower(text) {
		case "yes", "true", "on", "1":
			*to = true
		case "no", "false", "off", "0":
			*to = false
		default:
			return fmt.Errorf("%q is not yes or no", text)
		}
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		*to = n
	case *int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		*to = n
	case *time.Time:
		for _, form := range timeForms {
			t, err := time.Parse(form, text)
			// In UTC and up to the year 9999, because JSON can represent only such
			// times (RFC 3339): one of "9999-12-31T23:59:59-01:00" or an offset of
			// 24 hours would make each page with it fail.
			if t = t.UTC(); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
				*to = t
				return nil
			}
		}
		return fmt.Errorf("%q is not a time like 2026-11-28T23:00:00Z", text)
	case encoding.TextUnmarshaler:
		return to.UnmarshalText([]byte(text))
	default:
		return fmt.Errorf("a parameter cannot be a %T", to)
	}
	return nil
}

// A field is a field of a struct that has a tag.
type field struct {
	name  string
	index []int
	typ   reflect.Type
	doc   string
	omit  bool // JSON leaves it out if it is empty
}

// fieldsOf returns the fields of a struct that have a tag, those of embedded
// structs included.
func fieldsOf(t reflect.Type, tag string) (all []field) {
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get(tag), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		all = append(all, field{name: name, index: f.Index, typ: f.Type, doc: f.Tag.Get("doc"), omit: strings.Contains(options, "omit")})
	}
	return all
}
