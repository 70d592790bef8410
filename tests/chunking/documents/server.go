// Package clock 提供报时服务。
package clock

import (
	"fmt"
	"net/http"
	"time"
)

// Server tells the time of a zone.
type Server struct {
	zone *time.Location
	hits int
}

// New 按时区名称创建服务，例如 "Asia/Shanghai"。
func New(zone string) (*Server, error) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("时区 %q 不存在：%w", zone, err)
	}
	return &Server{zone: location}, nil
}

// ServeHTTP writes the time in RFC 3339.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	s.hits++
	fmt.Fprintln(w, time.Now().In(s.zone).Format(time.RFC3339))
}
